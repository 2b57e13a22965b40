//! What is filled is kept; and what only the server has is filled all the same.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Farm, expected, outcomes, totals};
use crate::support::{object, succeed};

fn farm() -> Farm {
    let farm = Farm::new();
    farm.environments(&json!({
        "good": farm.counted("good", "echo x >out"),
        "bad": farm.counted("bad", "exit 3"),
        "more": farm.counted("more", "echo y >out"),
    }));
    farm.spec("spec.json", "good");
    farm
}

#[test]
fn each_that_is_filled_is_kept_for_so_long_from_now_on() {
    let farm = farm();
    let report = farm.fill("ci", &["spec.json", "--all", "--pin", "nightly", "--keep", "2w"]);
    assert_eq!(outcomes(&report), expected(&[("bad", "failed"), ("good", "built"), ("more", "built")]), "{report}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let left = |number: usize| report["items"][number]["kept_until"].as_u64().map(|until| until - now);
    assert_eq!(left(0), None);
    for number in [1, 2] {
        let left = left(number).expect("kept");
        assert!(left.abs_diff(14 * 24 * 60 * 60) < 600, "{left}: {report}");
    }
    let mut list = farm.world.client_of(&farm.daemon, "asker");
    let list = object(list.args(["pins", "list", "--json"]));
    assert_eq!(list["pins"][0]["name"], "nightly", "{list}");
    let keys = |list: &Value| {
        let mut keys: Vec<String> =
            list.as_array().expect("a list").iter().map(|entry| entry["key"].to_string()).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&list["pins"][0]["entries"]), keys(&json!([report["items"][1], report["items"][2]])), "{list}");
    // A hit is kept as well, under another name.
    let again = farm.fill("ci", &["spec.json", "--pin", "weekly", "--keep", "90m"]);
    assert_eq!((&again["totals"], again["items"][0]["kept_until"].is_u64()), (&totals(1, 0, 0), true), "{again}");
}

#[test]
fn all_environments_of_a_file_that_only_the_server_has_are_filled() {
    let farm = farm();
    farm.fill("ci", &["spec.json", "--sources"]);
    let resolved = succeed(farm.world.client_of(&farm.daemon, "ci").arg("resolve").arg(farm.world.path("spec.json")));
    farm.world.write("handed.json", resolved);
    fs::rename(farm.world.path("source"), farm.world.path("gone")).expect("temporary");
    let report = farm.fill("fresh", &["handed.json", "--all"]);
    assert_eq!(outcomes(&report), expected(&[("bad", "failed"), ("good", "hit"), ("more", "built")]), "{report}");
}
