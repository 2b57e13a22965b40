// cc ARGUMENTS: compiles C for TARGET with Zig.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words) {
    char **all = calloc(count + 4, sizeof *all);
    if (!all) return 1;
    char *first[] = {"zig", "cc", "-target", TARGET};
    for (int i = 0; i < 4; i++) all[i] = first[i];
    for (int i = 1; i < count; i++) all[i + 3] = words[i];
    execv(ZIG, all);
    perror(ZIG);
    return 1;
}
