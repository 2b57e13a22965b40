//! Which executor runs an action: the first whose rule the properties that are asked for satisfy, else the usual one.
//!
//! All of them work with the same CAS. What they make is told apart in the keyed cache by the rule, not by the address.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::execute::Execution;
use crate::transport::{Endpoint, EndpointError};

/// Remote-execution properties of a request, by name.
pub(super) type Properties = BTreeMap<String, String>;

/// An executor for actions that ask for certain properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchRule {
    /// All of these must be asked for.
    pub properties: Properties,
    /// Where the executor is.
    pub endpoint: Endpoint,
}

/// Why a list of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// It is no list of rules.
    #[error(
        "a list of rules is expected, each a list of an object of properties and an address, as in [[{{\"ISA\": \"arm\"}}, \"HOST:PORT\"]]"
    )]
    Form(#[source] serde_json::Error),
    /// An address is none.
    #[error(transparent)]
    Address(#[from] EndpointError),
}

impl DispatchRule {
    /// Reads a list of rules: JSON, each a pair of properties and an address. The form is that of `just`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse_list(text: &[u8]) -> Result<Vec<Self>, DispatchError> {
        let rules: Vec<(BTreeMap<String, String>, String)> =
            serde_json::from_slice(text).map_err(DispatchError::Form)?;
        let rule = |(properties, address): (_, String)| Ok(Self { properties, endpoint: address.parse()? });
        rules.into_iter().map(rule).collect()
    }
}

/// The executors of an endpoint.
#[derive(Clone)]
pub struct Dispatch {
    rules: Vec<(Properties, Arc<dyn Execution>)>,
    usual: Arc<dyn Execution>,
}

impl Dispatch {
    /// Returns an executor for everything.
    pub fn to(usual: Arc<dyn Execution>) -> Self {
        Self { rules: Vec::new(), usual }
    }

    /// Adds an executor for actions that ask for all of these properties, and that no earlier rule takes.
    pub fn add(&mut self, properties: Properties, execution: Arc<dyn Execution>) {
        self.rules.push((properties, execution));
    }

    fn matching(&self, asked: &Properties) -> Option<&(Properties, Arc<dyn Execution>)> {
        let satisfied = |rule: &Properties| rule.iter().all(|(name, value)| asked.get(name) == Some(value));
        self.rules.iter().find(|(rule, _)| satisfied(rule))
    }

    /// Returns the executor for actions with these properties.
    pub fn executor(&self, asked: &Properties) -> &dyn Execution {
        self.matching(asked).map_or(&*self.usual, |(_, execution)| &**execution)
    }

    /// Returns the rule that these properties satisfy; `None` when the usual executor takes them.
    pub fn rule(&self, asked: &Properties) -> Option<&Properties> {
        self.matching(asked).map(|(rule, _)| rule)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::execute::{ExecuteError, ExecuteRequest, Executed, ExecutionEvents};

    struct Nobody;

    #[async_trait]
    impl Execution for Nobody {
        async fn execute(&self, _: ExecuteRequest, _: &dyn ExecutionEvents) -> Result<Executed, ExecuteError> {
            Err(ExecuteError::QueueFull { limit: 0 })
        }
    }

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_rule_that_is_satisfied_takes_an_action() {
        let mut dispatch = Dispatch::to(Arc::new(Nobody));
        let (arm, linux) = (properties(&[("ISA", "arm")]), properties(&[("OS", "linux")]));
        dispatch.add(arm.clone(), Arc::new(Nobody));
        dispatch.add(linux.clone(), Arc::new(Nobody));
        assert_eq!(dispatch.rule(&properties(&[("ISA", "arm"), ("OS", "linux")])), Some(&arm));
        assert_eq!(dispatch.rule(&properties(&[("ISA", "x86"), ("OS", "linux")])), Some(&linux));
        assert_eq!(dispatch.rule(&properties(&[("ISA", "x86")])), None);
    }

    #[test]
    fn lists_of_rules_are_pairs() {
        let rules = DispatchRule::parse_list(br#"[[{"ISA": "arm"}, "farm:8980"], [{}, "other:1"]]"#).unwrap();
        assert_eq!(rules[0].properties, properties(&[("ISA", "arm")]));
        assert_eq!(rules[0].endpoint.to_string(), "farm:8980");
        for bad in ["", "{}", "[[{}]]", r#"[[{"a": 1}, "h:1"]]"#, r#"[[{}, "nowhere"]]"#] {
            assert!(DispatchRule::parse_list(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
