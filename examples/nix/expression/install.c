// install ZIG TARGET SOURCE OUT: makes OUT/bin and has Zig compile SOURCE to OUT/bin/cc.
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **words) {
    char bin[4096], program[4096], zig[4096], target[256];
    if (count != 5) return 2;
    snprintf(bin, sizeof bin, "%s/bin", words[4]);
    snprintf(program, sizeof program, "%s/cc", bin);
    snprintf(zig, sizeof zig, "-DZIG=\"%s\"", words[1]);
    snprintf(target, sizeof target, "-DTARGET=\"%s\"", words[2]);
    if (mkdir(words[4], 0755) || mkdir(bin, 0755)) {
        perror(words[4]);
        return 1;
    }
    execl(words[1], "zig", "cc", "-target", "x86_64-linux-musl", "-O2", zig, target, words[3], "-o", program, NULL);
    perror(words[1]);
    return 1;
}
