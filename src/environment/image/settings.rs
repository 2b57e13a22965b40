//! The configuration of an image: what its definition says, over what its base says.

use crate::oci::{Execution, ImageConfig};
use crate::spec::ImageSettings;

/// Lays what the definition says over the configuration of the base.
///
/// Variables and labels are replaced by name, ports and volumes are added, everything else is replaced. A new entry
/// point does not get the arguments of the old one, as with Docker.
pub(super) fn apply(config: &mut ImageConfig, settings: &ImageSettings) {
    let ImageSettings {
        architecture: _,
        os: _,
        variant: _,
        author,
        env,
        entrypoint,
        cmd,
        user,
        working_dir,
        exposed_ports,
        volumes,
        labels,
        stop_signal,
    } = settings.clone();
    let execution = &mut config.execution;
    env.into_iter().for_each(|variable| set(execution, variable));
    if let Some(entrypoint) = entrypoint {
        execution.entrypoint = entrypoint;
        execution.cmd = Vec::new();
    }
    replace(&mut execution.cmd, cmd);
    replace(&mut execution.user, user);
    replace(&mut execution.working_dir, working_dir);
    replace(&mut execution.stop_signal, stop_signal);
    execution.exposed_ports.extend(exposed_ports);
    execution.volumes.extend(volumes);
    execution.labels.extend(labels);
    config.author = author.or(config.author.take());
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Sets a variable where it stands, or at the end.
fn set(execution: &mut Execution, variable: String) {
    let name = |variable: &str| variable.split('=').next().map(str::to_owned);
    match execution.env.iter_mut().find(|other| name(other) == name(&variable)) {
        Some(other) => *other = variable,
        None => execution.env.push(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Platform;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn base() -> ImageConfig {
        let mut config = ImageConfig::new(Platform::linux("arm64"));
        config.author = Some("base".into());
        config.execution = Execution {
            env: texts(&["PATH=/bin", "HOME=/root"]),
            entrypoint: texts(&["/init"]),
            cmd: texts(&["--serve"]),
            user: "daemon".into(),
            exposed_ports: ["80/tcp".to_owned()].into(),
            labels: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into(),
            ..Execution::default()
        };
        config
    }

    #[test]
    fn what_is_not_said_stays() {
        let mut config = base();
        apply(&mut config, &ImageSettings::default());
        assert_eq!(config, base());
    }

    #[test]
    fn variables_and_labels_are_replaced_by_name_and_sets_are_joined() {
        let mut config = base();
        let settings = ImageSettings {
            env: texts(&["LANG=C", "PATH=/usr/bin=x", "LANG=D"]),
            labels: [("b".to_owned(), "3".to_owned())].into(),
            exposed_ports: ["81".to_owned()].into(),
            volumes: ["/data".to_owned()].into(),
            author: Some("me".into()),
            ..ImageSettings::default()
        };
        apply(&mut config, &settings);
        assert_eq!(config.execution.env, ["PATH=/usr/bin=x", "HOME=/root", "LANG=D"]);
        assert_eq!(config.execution.labels.into_values().collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(config.execution.exposed_ports.len(), 2);
        assert_eq!(config.execution.volumes.len(), 1);
        assert_eq!(config.author.as_deref(), Some("me"));
    }

    #[test]
    fn a_new_entry_point_clears_the_arguments_of_the_old_one() {
        let (mut config, mut both, mut cmd) = (base(), base(), base());
        let entrypoint = Some(texts(&["/app"]));
        apply(&mut config, &ImageSettings { entrypoint: entrypoint.clone(), ..ImageSettings::default() });
        assert!(config.execution.entrypoint == ["/app"] && config.execution.cmd.is_empty());
        let arguments = Some(texts(&["x"]));
        apply(&mut both, &ImageSettings { entrypoint, cmd: arguments.clone(), ..ImageSettings::default() });
        assert_eq!(both.execution.cmd, ["x"]);
        apply(&mut cmd, &ImageSettings { cmd: arguments, ..ImageSettings::default() });
        assert!(cmd.execution.entrypoint == ["/init"] && cmd.execution.cmd == ["x"]);
    }
}
