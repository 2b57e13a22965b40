//! What manual pages say that the command line does not.

/// What there is to say of a verb.
pub(super) struct Text {
    /// The verb.
    pub(super) verb: &'static str,
    /// Paragraphs after what `--help` says of it.
    pub(super) more: &'static [&'static str],
    /// Of its exit status, what others do not have.
    pub(super) exit: Option<&'static str>,
    /// Command lines, and what they do.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Verbs whose pages it leads to.
    pub(super) related: &'static [&'static str],
}

const NOTHING: Text = Text { verb: "", more: &[], exit: None, examples: &[], related: &[] };
const OF_COMMAND: &str = "Otherwise that of the command, or 127 when it cannot be run.";

/// Variables that matter to many verbs.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    (
        "XDG_CACHE_HOME, HOME",
        "Where everything is kept unless --root names a place: envserve below the first, or below .cache of the second.",
    ),
    ("ENVSERVE_LOG", "Which records of the log go to stderr, as tracing-subscriber writes filters."),
    ("CI", "If set, progress is told in whole lines even on a terminal."),
    ("NO_COLOR", "If set, the log has no colours."),
];

/// What clients keep.
pub(super) const CLIENT_FILES: &[(&str, &str)] = &[
    (
        "$XDG_CACHE_HOME/envserve",
        "ROOT, unless --root or ENVSERVE_ROOT names another. It may be removed as a whole: it is a cache.",
    ),
    (
        "ROOT/environments, ROOT/images",
        "Environments and the root file systems of images: read-only, shared by all who use them.",
    ),
    ("ROOT/blobs", "Their files by digest, to which they are linked."),
    ("ROOT/store", "The closures of environments of kind nix, unless --store names another place."),
    ("ROOT/gcroots", "Links that keep an environment from garbage collection."),
    ("ROOT/private/log", "The log of the private daemon."),
];

/// What daemons keep.
pub(super) const SERVE_FILES: &[(&str, &str)] = &[
    (
        "$XDG_CACHE_HOME/envserve-serve",
        "ROOT, unless --root or ENVSERVE_SERVE_ROOT names another. It may be removed as a whole while no daemon runs.",
    ),
    ("ROOT/blobs", "Large blobs of the content-addressed store."),
    ("ROOT/database", "Small blobs, entries of the cache, action results, leases."),
    ("ROOT/git", "Trees of sources. Those that nobody else has cannot be had again."),
    ("ROOT/nix-secret-key", "The key that signs what the binary cache for Nix says."),
];

/// What endpoints keep.
pub(super) const EXECUTE_FILES: &[(&str, &str)] =
    &[("$XDG_CACHE_HOME/envserve-execute", "ROOT, unless --root or ENVSERVE_EXECUTE_ROOT names another.")];

/// Returns what there is to say of a verb, or of the whole, which is called `envserve`.
pub(super) fn of(verb: &str) -> Option<&'static Text> {
    if verb == WHOLE.verb { Some(&WHOLE) } else { VERBS.iter().find(|text| text.verb == verb) }
}

const WHOLE: Text = Text {
    verb: "envserve",
    more: &[
        "An environment is a toolchain, a set of tools, a closure of Nix, a container image, or a service that was warmed \
         up. A spec says which one is wanted and where its sources come from, all fixed by content. A daemon answers from \
         a cache, and builds what is missing by remote execution, once, while all who asked wait on that one build.",
        "A client downloads only the files that it lacks. What is here already opens no connection. Without --serve or \
         ENVSERVE_SERVE a private daemon is started, which leaves by itself.",
        "What is printed on stdout is data; everything else goes to stderr.",
    ],
    examples: &[
        ("envserve fetch spec.json", "Prints the directory of the environment, built first if need be."),
        ("envserve shell spec.json -- cc --version", "Runs a command in it."),
        ("envserve serve --listen 127.0.0.1:8981", "Runs a daemon, for ENVSERVE_SERVE=127.0.0.1:8981."),
    ],
    ..NOTHING
};

/// The verbs.
pub(super) const VERBS: &[Text] = &[
    Text {
        verb: "fetch",
        more: &[
            "The directory is read-only and shared by all who fetch the same. --out-link keeps it from garbage collection, \
             --install copies it to where it may be changed.",
            "With --absent nothing is downloaded: what is printed names the environment to a remote action that runs at the \
             same endpoint.",
        ],
        examples: &[
            ("envserve fetch spec.json -o result", "Makes the symlink result to the environment."),
            ("envserve fetch spec.json -c ARCH=aarch64", "Fetches it in another configuration."),
            (
                "envserve fetch --probe spec.json",
                "Ends with 0 when it is there, and with 10 when it would have to be built.",
            ),
            (
                "envserve fetch --absent --json spec.json",
                "Prints the digests for a remote action, and what is known of it.",
            ),
        ],
        related: &["plan", "explain", "shell", "env"],
        ..NOTHING
    },
    Text {
        verb: "shell",
        more: &[
            "PATH and the variables that the environment provides are set; everything else is as it is here. A closure of \
                 Nix is seen below /nix/store, without Nix being installed.",
        ],
        exit: Some(OF_COMMAND),
        examples: &[("envserve shell spec.json -- make", "Runs make with the tools of the environment.")],
        related: &["env", "fetch", "run"],
    },
    Text {
        verb: "env",
        examples: &[("eval \"$(envserve env spec.json)\"", "Enters the environment in the shell that is running.")],
        related: &["shell", "fetch"],
        ..NOTHING
    },
    Text { verb: "describe", related: &["fetch", "key"], ..NOTHING },
    Text {
        verb: "plan",
        more: &[
            "Nothing is built, and nothing of the environment is moved. The numbers of bytes are those that a fetch with \
                 the same arguments then has, exactly.",
        ],
        related: &["fetch", "explain", "prefill"],
        ..NOTHING
    },
    Text {
        verb: "explain",
        more: &[
            "Tells in what the key differs from that of an entry that is there: the nearest, one that is named, or what \
                 another spec asks for.",
        ],
        related: &["plan", "key"],
        ..NOTHING
    },
    Text { verb: "key", related: &["explain", "resolve"], ..NOTHING },
    Text {
        verb: "resolve",
        more: &["What is printed is a spec again, for those who have the same server and none of the sources."],
        related: &["key", "fetch", "prefill"],
        ..NOTHING
    },
    Text {
        verb: "prefill",
        more: &[
            "For a job that runs before everybody else: what several environments share is built once, what is there is \
                 confirmed, and a run that was killed goes on where it was. What somebody waits for comes first.",
        ],
        examples: &[
            (
                "envserve prefill specs/ --sources --report report.xml",
                "Fills all specs of a directory, and gives the server their sources.",
            ),
            (
                "envserve prefill spec.json --all --matrix ARCH=x86_64,aarch64",
                "Fills all environments of a file for two processors.",
            ),
        ],
        related: &["plan", "fetch", "pins"],
        ..NOTHING
    },
    Text {
        verb: "pins",
        more: &["A pin keeps what was filled under its name from being evicted, until it expires or is dropped."],
        related: &["prefill"],
        ..NOTHING
    },
    Text {
        verb: "run",
        more: &["The command runs in a container of its own, which is gone afterwards with what was written in it."],
        exit: Some(OF_COMMAND),
        examples: &[("envserve run image.json -- /bin/sh -c 'ls /'", "Runs a command in an image.")],
        related: &["up", "shell"],
    },
    Text {
        verb: "up",
        more: &[
            "Prints the id of each instance and where its ports are, when it is ready. Instances go with the process that \
                 asked for them, which is the parent of this one unless --owner-pid says otherwise.",
        ],
        examples: &[("envserve up image.json -n 4 --ready-tcp 5432", "Starts four databases.")],
        related: &["exec", "cp", "logs", "reset", "down", "ps", "run"],
        ..NOTHING
    },
    Text { verb: "exec", exit: Some(OF_COMMAND), related: &["up", "cp", "logs"], ..NOTHING },
    Text { verb: "cp", related: &["up", "exec"], ..NOTHING },
    Text { verb: "logs", related: &["up", "ps"], ..NOTHING },
    Text { verb: "reset", related: &["up", "down"], ..NOTHING },
    Text { verb: "down", related: &["up", "ps"], ..NOTHING },
    Text { verb: "ps", related: &["up", "down"], ..NOTHING },
    Text {
        verb: "serve",
        more: &[
            "Prints its address when it is ready. It is the remote-execution endpoint as well, a registry for images and a \
             binary cache for Nix; or it uses an endpoint that is there, by --remote.",
            "Whoever can connect can have commands run in the sandbox. Listen on loopback or a Unix socket, or see the \
             options for TLS and tokens.",
        ],
        related: &["execute", "gc", "fsck", "doctor"],
        ..NOTHING
    },
    Text { verb: "execute", related: &["serve", "doctor"], ..NOTHING },
    Text {
        verb: "gc",
        more: &["The daemon must not run: by itself it keeps to --max-size."],
        related: &["serve", "fsck"],
        ..NOTHING
    },
    Text {
        verb: "fsck",
        more: &["The daemon must not run. Without --repair nothing is changed."],
        exit: Some("1 also when something is wrong and was not repaired."),
        related: &["serve", "gc"],
        ..NOTHING
    },
    Text { verb: "doctor", related: &["serve", "up", "shell"], ..NOTHING },
    Text {
        verb: "schema",
        more: &["By it editors complete and check specs and environments files, and programs know what they read."],
        related: &["fetch", "plan"],
        ..NOTHING
    },
    Text { verb: "completion", related: &["manual"], ..NOTHING },
    Text { verb: "manual", related: &["completion"], ..NOTHING },
];
