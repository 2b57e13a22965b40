# A C compiler as a closure: `cc`, with the Zig that it starts.
#
# There are no packages here to build upon, so Zig itself is the builder: it compiles and runs `install.c`, which makes
# the output and has Zig compile `cc.c` into it.
{ target }:
let
  zig = "${<zig>}/zig";
in
derivation {
  name = "cc";
  system = "x86_64-linux";
  builder = zig;
  args = [ "run" "-target" "x86_64-linux-musl" "-lc" ./install.c "--" zig target ./cc.c (placeholder "out") ];
  ZIG_GLOBAL_CACHE_DIR = "/build/cache";
  ZIG_LOCAL_CACHE_DIR = "/build/cache";
}
