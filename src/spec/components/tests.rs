use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::DigestFunction;
use crate::spec::path::RelativePath;

type Repositories = BTreeMap<String, ResolvedRepository>;

fn repository(root: u8, bindings: &[(&str, &str)]) -> ResolvedRepository {
    let bindings = bindings.iter().map(|(name, to)| ((*name).to_owned(), (*to).to_owned())).collect();
    ResolvedRepository { root: GitId::from_bytes([root; 20]), environments_file: "ENVS".into(), bindings }
}

fn repositories() -> Repositories {
    BTreeMap::from([
        ("main".to_owned(), repository(1, &[("lib", "lib"), ("other", "other")])),
        ("lib".to_owned(), repository(2, &[("deep", "deep")])),
        ("deep".to_owned(), repository(3, &[])),
        ("other".to_owned(), repository(4, &[])),
    ])
}

fn components_of(repositories: &Repositories) -> Components {
    let parts = KeyParts {
        description: Description::new("main", repositories).unwrap(),
        module: RelativePath::parse("tools").unwrap(),
        name: "toolchain".into(),
        effective_config: Config::from_value("spec.json", json!({"ARCH": "x86_64", "DEBUG": null})).unwrap(),
    };
    let shard = ShardParts {
        digest_function: DigestFunction::Blake3,
        properties: BTreeMap::from([("OSFamily".into(), "linux".into())]),
        instance: "main".into(),
        id: Some("farm-1".into()),
        dispatch: None,
        host: None,
    };
    Components::new(parts, shard)
}

fn config(components: &mut Components, value: Value) {
    components.parts.effective_config = Config::from_value("spec.json", value).unwrap();
}

/// One change of what an environment is looked up by.
type Change = fn(&mut Components, &mut Repositories);

fn path(names: &[&str]) -> BindingPath {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn each_single_change_is_named_and_nothing_else() {
    let cases: Vec<(Change, Component)> = vec![
        (|all, _| all.version = 0, Component::KeyVersion),
        (|all, _| all.shard.digest_function = DigestFunction::Sha256, Component::DigestFunction),
        (|all, _| all.shard.instance.clear(), Component::Instance),
        (|all, _| all.shard.id = None, Component::EndpointId),
        (|all, _| all.shard.id = Some(String::new()), Component::EndpointId),
        (|all, _| all.shard.dispatch = Some(BTreeMap::new()), Component::Dispatch),
        (|all, _| all.shard.host = Some("sha256:1".into()), Component::Host),
        (|all, _| all.shard.properties.clear(), Component::Property("OSFamily".into())),
        (
            |all, _| drop(all.shard.properties.insert("OSFamily".into(), "x".into())),
            Component::Property("OSFamily".into()),
        ),
        (|all, _| drop(all.shard.properties.insert("ISA".into(), "arm".into())), Component::Property("ISA".into())),
        (|all, _| all.parts.module = RelativePath::parse("").unwrap(), Component::Module),
        (|all, _| all.parts.name = "other".into(), Component::Name),
        (|all, _| config(all, json!({"ARCH": "arm", "DEBUG": null})), Component::Variable("ARCH".into())),
        (|all, _| config(all, json!({"ARCH": ["x86_64"], "DEBUG": null})), Component::Variable("ARCH".into())),
        (|all, _| config(all, json!({"ARCH": "x86_64", "DEBUG": false})), Component::Variable("DEBUG".into())),
        (|all, _| config(all, json!({"ARCH": "x86_64"})), Component::Variable("DEBUG".into())),
        (|_, all| all.get_mut("main").unwrap().environments_file = "E".into(), Component::EnvironmentsFile(path(&[]))),
        (
            |_, all| all.get_mut("deep").unwrap().environments_file = "E".into(),
            Component::EnvironmentsFile(path(&["lib", "deep"])),
        ),
        (|_, all| all.get_mut("main").unwrap().root = GitId::from_bytes([9; 20]), Component::Root(path(&[]))),
        (|_, all| all.get_mut("lib").unwrap().root = GitId::from_bytes([9; 20]), Component::Root(path(&["lib"]))),
        (
            |_, all| all.get_mut("deep").unwrap().root = GitId::from_bytes([9; 20]),
            Component::Root(path(&["lib", "deep"])),
        ),
        (|_, all| all.get_mut("main").unwrap().bindings.clear_one("other"), binding(&[], "other")),
        (
            |_, all| drop(all.get_mut("other").unwrap().bindings.insert("new".into(), "lib".into())),
            binding(&["other"], "new"),
        ),
        (
            |_, all| drop(all.get_mut("main").unwrap().bindings.insert("other".into(), "lib".into())),
            binding(&[], "other"),
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let (mut changed, mut all) = (components_of(&repositories()), repositories());
        change(&mut changed, &mut all);
        changed.parts.description = Description::new("main", &all).unwrap();
        let there = components_of(&repositories());
        let found: Vec<Component> =
            changed.differences(&there).into_iter().map(|difference| difference.component).collect();
        assert_eq!(found, [expected], "{number}");
        assert!(changed.differences(&changed).is_empty());
    }
}

fn binding(names: &[&str], name: &str) -> Component {
    Component::Binding(path(names), name.to_owned())
}

trait ClearOne {
    fn clear_one(&mut self, name: &str);
}

impl ClearOne for BTreeMap<String, String> {
    fn clear_one(&mut self, name: &str) {
        self.remove(name).expect("there");
    }
}

#[test]
fn values_are_told_as_they_are_here_and_there() {
    let (mut here, there) = (components_of(&repositories()), components_of(&repositories()));
    config(&mut here, json!({"ARCH": "arm"}));
    let told: Vec<_> = here.differences(&there).into_iter().map(|found| (found.here, found.there)).collect();
    assert_eq!(told, [(Some("\"arm\"".into()), Some("\"x86_64\"".into())), (None, Some("null".into())),]);
}

#[test]
fn a_changed_root_comes_before_the_variables_that_it_declares() {
    let mut all = repositories();
    all.get_mut("main").unwrap().root = GitId::from_bytes([9; 20]);
    let mut here = components_of(&all);
    config(&mut here, json!({"ARCH": "x86_64", "DEBUG": null, "NEW": null}));
    let found = here.differences(&components_of(&repositories()));
    assert_eq!(found[0].component, Component::Root(path(&[])));
    assert_eq!(found[1].component, Component::Variable("NEW".into()));
}

proptest! {
    #[test]
    fn two_descriptions_differ_exactly_when_their_digests_do(
        one in prop::collection::vec((0..3_u8, 0..4_usize, 0..4_usize), 4),
        other in prop::collection::vec((0..3_u8, 0..4_usize, 0..4_usize), 4),
    ) {
        let description = |shape: &[(u8, usize, usize)]| {
            let all: Repositories = shape.iter().enumerate().map(|(at, (root, a, b))| {
                let names = [format!("r{a}"), format!("r{b}")];
                (format!("r{at}"), repository(*root, &[("a", &names[0]), ("b", &names[1])]))
            }).collect();
            Description::new("r0", &all).unwrap()
        };
        let (mut here, mut there) = (components_of(&repositories()), components_of(&repositories()));
        (here.parts.description, there.parts.description) = (description(&one), description(&other));
        let same = here.parts.description.digest() == there.parts.description.digest();
        prop_assert_eq!(here.differences(&there).is_empty(), same);
    }
}
