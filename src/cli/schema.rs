//! `envserve schema`: the JSON schemas of what is read, for editors, and of what is printed, for programs.
//!
//! They are made from the types: of files that are read, from the tables of fields by which these are checked; of what
//! is printed, from what is printed. What is read has no fields but those of the schema. What is printed may get more
//! within a version, so its schema lets others pass.

use clap::{Args, ValueEnum};
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::Exit;
use super::error::CliError;
use super::output::{
    self, Abilities, Absent, Checked, Explained, FetchedEnvironment, FetchedSources, Instances, KeyComponents, Plan,
    ProbedEnvironment, Variables,
};
use super::prefill::Report;
use super::progress::EventLine;
use crate::spec::{EnvironmentsFile, Spec};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Of what; without it, the names are listed.
    #[arg(value_enum)]
    name: Option<Name>,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// A spec.
    Spec,
    /// An environments file.
    Environments,
    /// What `fetch --absent --json` prints.
    Absent,
    /// What `fetch --json` prints.
    Fetch,
    /// What `fetch --sources --json` prints.
    Sources,
    /// What `fetch --probe --json` prints.
    Probe,
    /// What `plan --json` prints.
    Plan,
    /// The report of `prefill`.
    Prefill,
    /// What `explain --json` prints.
    Explain,
    /// What `key --json` prints.
    Key,
    /// What `env --json` prints.
    Variables,
    /// What `up --json` and `ps --json` print.
    Instances,
    /// What `doctor --json` prints.
    Doctor,
    /// What `fsck --json` prints.
    Fsck,
    /// A line on stderr with `--events jsonl`.
    Events,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    match arguments.name {
        Some(name) => output::print(format!("{:#}", name.schema().to_value()).as_bytes())?,
        None => Name::value_variants().iter().try_for_each(|name| output::print(name.text().as_bytes()))?,
    }
    Ok(Exit::Done)
}

impl Name {
    /// Returns the name as it is written.
    fn text(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn schema(self) -> Schema {
        let mut schema = match self {
            Self::Spec => read::<Spec>(),
            Self::Environments => read::<EnvironmentsFile>(),
            Self::Absent => printed::<Absent<'_>>(),
            Self::Fetch => printed::<FetchedEnvironment<'_>>(),
            Self::Sources => printed::<FetchedSources<'_>>(),
            Self::Probe => printed::<ProbedEnvironment>(),
            Self::Plan => printed::<Plan<'_>>(),
            Self::Prefill => printed::<Report>(),
            Self::Explain => printed::<Explained<'_>>(),
            Self::Key => printed::<KeyComponents<'_>>(),
            Self::Variables => printed::<Variables<'_>>(),
            Self::Instances => printed::<Instances<'_>>(),
            Self::Doctor => printed::<Abilities<'_>>(),
            Self::Fsck => printed::<Checked<'_>>(),
            Self::Events => printed::<EventLine>(),
        };
        schema.insert("$id".to_owned(), format!("{}.json", self.text()).into());
        schema
    }
}

/// Returns the schema of a file that is read.
fn read<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>()
}

/// Returns the schema of what is printed.
fn printed<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(open).transform(&mut schema);
    schema
}

/// Puts what is said in one line, lets fields pass that later programs print, and says of those that may be left out that they are never null.
fn open(schema: &mut Schema) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) && schema.get("properties").is_some() {
        schema.remove("additionalProperties");
    }
    if let Some(Value::String(words)) = schema.get_mut("description") {
        *words = words.replace('\n', " ");
    }
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if !required.iter().any(|required| required == name) {
            never_null(property);
        }
    }
}

/// Takes null away from what a value may be.
fn never_null(property: &mut Value) {
    match property.get_mut("type") {
        Some(Value::Array(types)) => {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                property["type"] = only.clone();
            }
        }
        _ => {
            let forms = property.get_mut("anyOf").and_then(Value::as_array_mut);
            forms.into_iter().for_each(|forms| forms.retain(|form| form.get("type").is_none_or(|kind| kind != "null")));
        }
    }
}
