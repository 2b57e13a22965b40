//! Closures of Nix as layers of images.

use std::fs;

use serde_json::{Value, json};

use super::Image;
use crate::nix::Expression;
use crate::support::{World, fail, files, succeed};

/// An expression with a chain of derivations, each of which refers to the one before it.
fn chain(count: usize) -> Expression {
    let expression = Expression::features();
    let world = &expression.world;
    let text = format!(
        r#"let
             tools = ./tools;
             link = number: derivation {{
               name = "link-${{toString number}}"; system = "x86_64-linux"; builder = "${{tools}}/busybox";
               args = [ "sh" "-c" "echo ${{before number}} >$out" ];
             }};
             before = number: if number == 0 then "none" else link (number - 1);
           in link {}
        "#,
        count - 1
    );
    world.write("source/chain/default.nix", text);
    fs::create_dir_all(world.path("source/chain/tools")).expect("temporary");
    fs::copy(world.path("source/source/tools/busybox"), world.path("source/chain/tools/busybox")).expect("temporary");
    expression
}

fn environments() -> Value {
    json!({
        "chain": {"type": "nix", "expression": {"path": "chain"}},
        "image": {"type": "image", "layers": [{"from": {"env": "chain"}}], "config": {"Cmd": ["/x"]}},
        "twice": {"type": "image", "layers": [{"from": {"env": "chain"}}, {"from": {"env": "chain"}, "at": "/"}]},
        "above": {"type": "image", "base": {"env": "image"}, "layers": [{"from": {"env": "chain"}}]},
        "whole": {"type": "image", "layers": [{"from": {"env": "chain"}, "at": "/opt"}]},
    })
}

fn names(world: &World, directory: &str) -> Vec<String> {
    let store = world.path(directory).join("rootfs/nix/store");
    let mut names: Vec<String> = fs::read_dir(store)
        .expect("there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_closure_lies_in_the_store_of_the_image_a_layer_for_each_path_the_most_popular_lowest() {
    let expression = chain(3);
    let (world, environments) = (&expression.world, environments());
    let daemon = world.daemon();
    let image = Image::of(world, &daemon, &world.spec("image", &environments));
    let unpacked = image.unpacked(world, &daemon, "bundle");
    let links = names(world, "bundle").into_iter().filter(|name| name.contains("-link-")).count();
    assert_eq!(links, 3);
    assert!(!unpacked.join("registration").exists());
    let history: Vec<String> =
        image.configuration(&daemon).history.into_iter().map(|step| step.created_by.expect("it is said")).collect();
    assert_eq!(history.len(), image.layers.len());
    let place = |name: &str| history.iter().position(|step| step.ends_with(name)).expect(name);
    assert!(place("-link-0") < place("-link-1") && place("-link-1") < place("-link-2"), "{history:?}");
    let twice = Image::of(world, &daemon, &world.spec("twice", &environments));
    assert_eq!(twice.layers, image.layers);
    let above = Image::of(world, &daemon, &world.spec("above", &environments));
    assert_eq!(above.layers, image.layers, "the base has all of it");
    let whole = Image::of(world, &daemon, &world.spec("whole", &environments));
    assert_eq!(whole.layers.len(), 1);
}

#[test]
fn a_large_closure_is_split_into_as_many_layers_as_there_may_be() {
    let expression = chain(105);
    let (world, environments) = (&expression.world, environments());
    let daemon = world.daemon();
    let image = Image::of(world, &daemon, &world.spec("image", &environments));
    assert_eq!(image.layers.len(), 100);
    let unpacked = image.unpacked(world, &daemon, "bundle");
    assert!(files(&unpacked.join("nix/store")).len() >= 105);
    let mut layers = vec![json!({"from": {"env": "chain"}})];
    layers.extend((0..60).map(|number| json!({"from": {"path": "chain/default.nix"}, "at": format!("/{number}")})));
    let mut fewer = environments.clone();
    fewer["image"]["layers"] = layers.clone().into();
    let image = Image::of(world, &daemon, &world.spec("image", &fewer));
    assert_eq!(image.layers.len(), 127);
    layers
        .extend((0..67).map(|number| json!({"from": {"path": "chain/default.nix"}, "at": format!("/more-{number}")})));
    fewer["image"]["layers"] = layers.into();
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("image", &fewer)), 16);
    assert!(error.contains("128 layers; container engines take at most 127"), "{error}");
    succeed(world.client_of(&daemon, "client").args(["fetch", "--absent"]).arg(world.spec("image", &environments)));
}
