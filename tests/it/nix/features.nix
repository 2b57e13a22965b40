# One derivation for each thing that a derivation can ask for. All of it is built by a static busybox, or bash.
{ tag ? "none" }:
let
  shell = "${./tools}/busybox";
  bin = derivation {
    name = "bin";
    system = "x86_64-linux";
    builder = shell;
    args = [ "sh" "-c" ''
      ${shell} mkdir -p $out/bin
      ${shell} cp ${shell} $out/bin/busybox
      for name in cat chmod cp date echo env find grep id ln ls mkdir mv printf ps rm sed sh sleep sort stat tar touch tr wget; do
        ${shell} ln -s busybox $out/bin/$name
      done
    '' ];
  };
  make = name: attributes: script: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "${bin}/bin/sh";
    PATH = "${bin}/bin";
    args = [ "-euc" script ];
  } // attributes);
  fixed = hash: attributes: make "fixed" ({ outputHash = hash; outputHashAlgo = "sha256"; } // attributes);
  chosen = make "chosen.nix" { } "echo '{ name = \"by-evaluation\"; }' >$out";
  late = make "late-${(import chosen).name}.nix" { } "cat ${chosen} >$out";
in rec {
  inherit bin make;
  script = make "script" { } ''
    mkdir -p $out/bin
    printf '#!%s\necho hello ${tag}\n' ${bin}/bin/sh >$out/bin/hello
    chmod 755 $out/bin/hello
    mkdir $out/empty
  '';
  multiple = make "multiple" { outputs = [ "out" "dev" "doc" ]; } ''
    mkdir $out $dev
    echo plain >$doc
    ln -s $out/lib $dev/lib
    echo ${script} >$out/uses
  '';
  itself = make "itself" { } "mkdir $out; echo $out >$out/self";
  link = make "link" { } "ln -s ${script}/bin/hello $out";
  executable = make "executable" { } "echo x >$out; chmod 700 $out";
  modes = make "modes" { } ''
    mkdir $out
    for mode in 000 011 100 400 644 755 777; do echo $mode >$out/$mode; chmod $mode $out/$mode; done
    mkdir $out/closed
    touch $out/closed/file
    chmod 000 $out/closed
  '';
  flat = fixed "04rmhy6rn9kryhm4fn2r8ihwyhf0aacl7g4vmhvdvzkibi2r6alr" { outputHashMode = "flat"; } "printf fixed >$out";
  recursive = fixed "09fyl59h23a1zxdxp80hj6qaxfhsgglcbrvyaafq6jc4mzpvgnaz" { outputHashMode = "recursive"; } ''
    mkdir $out
    printf fixed >$out/file
  '';
  files = make "files" { first = "one\n"; second = "two"; passAsFile = [ "first" "second" ]; } ''
    cat $firstPath $secondPath >$out
    ls -1a /build | sort >>$out
    echo $firstPath >>$out
  '';
  structured = derivation {
    name = "structured";
    system = "x86_64-linux";
    builder = "${./tools}/bash";
    __structuredAttrs = true;
    outputs = [ "out" "dev" ];
    list = [ 1 "two" true ];
    set = { a = "b'c"; };
    number = 1.5;
    uses = script;
    args = [ "-euc" ''
      . ./.attrs.sh
      printf '%s\n' "''${list[@]}" "''${set[a]}" "$uses" >''${outputs[out]}
      while read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <.attrs.json >''${outputs[dev]}
    '' ];
  };
  graph = make "graph" { exportReferencesGraph = [ "closure" multiple "other" script ]; } "cat closure other >$out";
  given = make "given" { "with-dash" = "1"; lines = "a\nb"; yes = true; no = false; nothing = null; list = [ 1 "x" ]; } ''
    env | sort >$out
    id >>$out
    pwd >>$out
    cat /etc/passwd /etc/group /etc/hosts >>$out
    ls / | sort >>$out
    ls -a1 /build >>$out
    stat -c '%n %a %u %g' / /build /tmp /nix /nix/store /dev /dev/shm >>$out
    echo ~ >>$out
    grep -c lo: /proc/net/dev >>$out
    ls -1 /dev | grep -v kvm | sort >>$out
    cat /proc/sys/kernel/hostname >>$out
    stat -c '%n %Y' ${./tree} ${./tree}/file ${script} >>$out
  '';
  source = make "source" { tree = ./tree; text = builtins.toFile "text" "some ${./tree} text"; } "cp -r $tree $out; chmod -R u+w $out; cat $text >>$out/file";
  wanted = make "wanted" { disallowedReferences = [ script ]; } "echo ${multiple.dev} >$out";
  evaluated = make (import late).name { read = builtins.readFile chosen; } "printf %s \"$read\" >$out";
  everything = make "everything" {
    all = [ script multiple multiple.dev multiple.doc itself link executable modes flat recursive files structured
      structured.dev graph given source wanted evaluated ];
  } "for path in $all; do echo $path; done >$out";

  # What fails, or is refused.
  failing = make "failing" { } "echo going wrong >&2; exit 3";
  forgetful = make "forgetful" { outputs = [ "out" "dev" ]; } "echo >$out";
  circular = make "circular" { outputs = [ "out" "dev" ]; } "echo $dev >$out; echo $out >$dev";
  device = make "device" { } "mkdir $out; ${bin}/bin/busybox mkfifo $out/pipe";
  lying = fixed "04rmhy6rn9kryhm4fn2r8ihwyhf0aacl7g4vmhvdvzkibi2r6alr" { outputHashMode = "flat"; } "printf other >$out";
  referring = fixed "04rmhy6rn9kryhm4fn2r8ihwyhf0aacl7g4vmhvdvzkibi2r6alr" { outputHashMode = "recursive"; } "echo ${script} >$out";
  forbidden = make "forbidden" { disallowedReferences = [ script ]; } "echo ${script} >$out";
  endless = let f = n: f (n + 1); in f 0;
  time = make "time" { at = builtins.currentTime; } "echo >$out";
  host = make "host" { at = builtins.currentSystem; } "echo >$out";
  raw = make "raw" { at = __currentTime; } "echo >$out";
  network = make "network" { text = builtins.readFile (builtins.fetchurl "http://127.0.0.1:1/x"); } "echo >$out";
  unbound = make "unbound" { text = <nixpkgs>; } "echo >$out";
  elsewhere = make "elsewhere" { text = builtins.readFile /etc/passwd; } "echo >$out";
  constant = 3;
  outside = derivation { name = "outside"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo >$out" ]; };
  unconfined = make "unconfined" { __noChroot = true; } "echo >$out";
  recursing = make "recursing" { requiredSystemFeatures = [ "recursive-nix" ]; } "echo >$out";
  builtin = derivation { name = "builtin"; system = "builtin"; builder = "builtin:fetchurl"; url = "x"; };

  # What tests ask for besides.
  big = make "big" { } "printf '%0200000d' 7 >$out";
  program = make "program" { outputs = [ "out" "lib" ]; } ''
    mkdir -p $out/bin $out/share $lib/lib
    echo library >$lib/lib/text
    printf '#!/bin/sh\nread -r text <%s\necho "$text $*"\n' $lib/lib/text >$out/bin/run
    chmod 755 $out/bin/run
    ln -s $lib/lib/text $out/share/library
  '';
  random = make "random" { } "cat /proc/sys/kernel/random/uuid >$out";
  first = make "first" { uses = random; } "echo first $uses >$out";
  second = make "second" { uses = random; } "sleep 1; echo second $uses >$out";
  fetched = url: fixed "04rmhy6rn9kryhm4fn2r8ihwyhf0aacl7g4vmhvdvzkibi2r6alr" { outputHashMode = "flat"; } "wget -O $out ${url}";
  work = make "work" {
    buildInputs = [ script ];
    TEXT = "it's \"quoted\"\n and $long";
    shellHook = "export PATH=${script}/bin:$PATH; export HOOKED=$(hello)";
  } "exit 1";
  large = make "large" {
    parts = builtins.genList (n: make "part-${toString n}" { before = if n < 10 then script else tag; } ''
      mkdir -p $out/share
      echo ${toString n} $before >$out/share/${toString n}
    '') 300;
  } "mkdir $out; for part in $parts; do ln -s $part $out/; done";
}
