# Evaluates an expression so that nothing but content enters: what depends on time, host or network is not there,
# and files are read only from the expression and its inputs.
#
# An output that evaluation itself needs and that is not built yet ends it, with a message that names the output;
# it is built, and evaluation begins again.
let
  settings = builtins.fromJSON (builtins.readFile ./settings.json);
  inherit (builtins) attrNames concatMap concatStringsSep elem filter getContext head isAttrs isFunction isPath isList
    isString length listToAttrs mapAttrs readDir removeAttrs stringLength substring tail typeOf;

  # Outputs of derivations that a value leads to.
  outputsBehind = value:
    if isPath value then [ ] else
    let
      context = getContext "${value}";
      named = drv: map (output: "${builtins.unsafeDiscardStringContext drv}!${output}") (context.${drv}.outputs or [ ]);
    in concatMap named (attrNames context);

  # Makes a function wait until what it reads is built.
  waiting = read: value:
    let lacking = filter (output: !(elem output settings.built)) (outputsBehind value);
    in if lacking == [ ] then read value else abort "envserve needs ${concatStringsSep " " lacking} ;";

  # Each file is imported once, as with the import of Nix.
  files = directory: mapAttrs (name: type:
    let path = directory + "/${name}"; in
    if type == "directory" then { inner = files path; } else { value = builtins.scopedImport scope path; })
    (readDir directory);
  roots = map (root: { prefix = "${toString root}/"; inner = files root; }) ([ ./source ] ++ inputPaths);

  find = names: inner:
    let entry = inner.${head names} or { }; in
    if length names == 1 then entry else if entry ? inner then find (tail names) entry.inner else { };

  known = path:
    let
      under = root: substring 0 (stringLength root.prefix) path == root.prefix;
      root = filter under roots;
      rest = substring (stringLength (head root).prefix) (-1) path;
    in if root == [ ] then { } else find (filter isString (builtins.split "/" rest)) (head root).inner;

  pureImport = value:
    let
      path = if isPath value then value else "${value}";
      entry = known (toString value);
      default = entry.inner."default.nix" or { };
    in
      if isPath value && entry ? value then entry.value
      else if isPath value && default ? value then default.value
      else builtins.scopedImport scope path;

  reading = {
    import = waiting pureImport;
    scopedImport = extra: waiting (builtins.scopedImport (scope // extra));
    readFile = waiting builtins.readFile;
    readDir = waiting builtins.readDir;
    pathExists = waiting builtins.pathExists;
    hashFile = type: waiting (builtins.hashFile type);
    filterSource = keep: waiting (builtins.filterSource keep);
    path = attributes: waiting (path: builtins.path (attributes // { inherit path; })) attributes.path;
    findFile = builtins.findFile;
  } // (if builtins ? readFileType then { readFileType = waiting builtins.readFileType; } else { });

  impure = [ "currentTime" "currentSystem" "storePath" "getFlake" ];
  refused = listToAttrs (map (name: {
    name = "__${name}";
    value = abort "`builtins.${name}` depends on the host, which a cached environment must not";
  }) impure);

  scope = refused // listToAttrs (map (name: { name = "__${name}"; value = reading.${name}; }) (attrNames reading)) // {
    inherit (reading) import scopedImport;
    builtins = pureBuiltins;
  };
  pureBuiltins = removeAttrs builtins impure // reading // { builtins = pureBuiltins; };
  inputPaths = map (name: ./inputs + "/${name}") settings.inputs;

  # Calls a function with those of the arguments that it takes, as `nix-build` does. Only one that names them is called.
  call = value:
    let
      pattern = builtins.toXML value;
      formals = builtins.functionArgs value;
      takes = what: builtins.match ".*<${what}.*" pattern != null;
      taken = if takes "attrspat[^>]*ellipsis" then settings.args else builtins.intersectAttrs formals settings.args;
      lacking = filter (name: !formals.${name} && !(taken ? ${name})) (attrNames formals);
    in
      if isAttrs value && value ? __functor then call (value.__functor value)
      else if !(isFunction value && takes "attrspat") then value
      else if lacking == [ ] then call (value taken)
      else throw "the expression takes arguments that `args` does not give: ${concatStringsSep ", " lacking}";

  select = value: name:
    let called = call value; in
    if isList called then builtins.elemAt called (builtins.fromJSON name)
    else if isAttrs called && called ? ${name} then called.${name}
    else throw "attribute `${name}` of `attr` is not there; there ${
      if isAttrs called then "are ${concatStringsSep ", " (attrNames called)}" else "is a ${typeOf called}"}";

  chosen =
    let value = call (builtins.foldl' select (scope.import (./source + settings.file)) settings.attr);
    in if isAttrs value && value.type or "" == "derivation" then value
       else throw "the expression evaluates to a ${typeOf value}, and not to a derivation";

  # Dumps the variables of the shell that works on a derivation.
  shellOf = derivation':
    let
      attributes = derivation'.drvAttrs;
      dropped = [ "outputs" "outputHash" "outputHashAlgo" "outputHashMode" "allowedReferences" "allowedRequisites"
        "disallowedReferences" "disallowedRequisites" "outputChecks" "exportReferencesGraph" "args" "passAsFile" ];
      builder = baseNameOf (builtins.unsafeDiscardStringContext "${attributes.builder}");
      arguments = if elem builder [ "bash" "sh" "dash" "ash" ] then [ ] else if builder == "busybox" then [ "sh" ]
        else throw "a shell needs a derivation that a shell builds, and its builder is `${builder}`";
    in
      if attributes.__structuredAttrs or false then throw "a shell of structured attributes is not supported"
      else derivation (removeAttrs attributes dropped // {
        name = "${derivation'.name}-env";
        IN_NIX_SHELL = "impure";
        args = arguments ++ [ "-c" settings.dump ];
      });

  target = if settings.shell then shellOf chosen else chosen;
  outputs = if settings.shell then [ "out" ] else if settings.outputs == [ ] then [ chosen.outputName ] else settings.outputs;
in
  { derivation = builtins.unsafeDiscardStringContext target.drvPath; inherit outputs; }
