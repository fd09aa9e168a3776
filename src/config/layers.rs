//! The layers: defaults < file < environment < flags. Each value keeps its origin.
//! Always holds: a higher layer wins key by key, never table by table; a secret's `_file` is the same key as the
//! secret. Absent: reading any environment variable but those that begin with `ORRERY__`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::key::{self, Flat, Raw, SECRET_KEYS};
use super::{ConfigError, Secret, SettingProblem, Settings, check};

/// What every environment variable of ours begins with; two underscores part sections.
const ENV_PREFIX: &str = "ORRERY__";

/// Where the values may come from, lowest first.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables, name and value; those without our prefix are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags as (flag, key, value), such as `("--listen", "server.listen", "127.0.0.1:9000")`.
    pub flags: Vec<(&'static str, String, String)>,
}

impl Sources {
    /// The process's environment beside this file and these flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        Self { file, environment, flags }
    }

    /// Merges the layers and checks the result. Reads the file and the files of secrets, nothing else.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let defaults = key::defaults().map_err(|cause| {
            ConfigError::new(vec![SettingProblem::NotToml {
                path: "config/default.toml".into(),
                cause,
            }])
        })?;
        let mut merge =
            Merge { defaults: &defaults, values: BTreeMap::new(), problems: Vec::new() };
        let lowest =
            defaults.iter().map(|(key, raw)| (key.clone(), raw.clone(), SettingOrigin::Default));
        merge.layer(&lowest.collect());
        let file = self.file_layer(&mut merge);
        merge.layer(&file);
        let environment = self.environment_layer(&mut merge);
        merge.layer(&environment);
        let flags = self.flag_layer(&mut merge);
        merge.layer(&flags);
        let Merge { values, mut problems, .. } = merge;
        problems.extend(check::ranges(&values));
        match Settings::from_values(&values) {
            Ok(settings) => {
                problems.extend(check::rules(&settings, &values));
                if problems.is_empty() {
                    return Ok(Loaded { settings, values: shown(values) });
                }
            }
            // A number out of its range is the same problem once more, in worse words.
            Err(problem) if problems.is_empty() => problems.push(problem),
            Err(_) => {}
        }
        Err(ConfigError::new(problems))
    }

    fn file_layer(&self, merge: &mut Merge<'_>) -> Layer {
        let Some(path) = &self.file else {
            return Vec::new();
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) => {
                merge.problems.push(SettingProblem::Unreadable {
                    path: path.clone(),
                    cause: cause.to_string(),
                });
                return Vec::new();
            }
        };
        match key::flatten(&text) {
            Ok(flat) => flat
                .into_iter()
                .map(|(key, raw)| (key, raw, SettingOrigin::File(path.clone())))
                .collect(),
            Err(cause) => {
                merge.problems.push(SettingProblem::NotToml { path: path.clone(), cause });
                Vec::new()
            }
        }
    }

    fn environment_layer(&self, merge: &mut Merge<'_>) -> Layer {
        let mut layer = Vec::new();
        for (name, value) in &self.environment {
            if let Some(path) = name.strip_prefix(ENV_PREFIX) {
                let key = path.to_lowercase().replace("__", ".");
                merge.text(&mut layer, key, value, SettingOrigin::Environment(name.clone()));
            }
        }
        layer
    }

    fn flag_layer(&self, merge: &mut Merge<'_>) -> Layer {
        let mut layer = Vec::new();
        for (flag, key, value) in &self.flags {
            merge.text(&mut layer, key.clone(), value, SettingOrigin::Flag((*flag).to_owned()));
        }
        layer
    }
}

impl fmt::Debug for Sources {
    /// Names only: any of the values may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field(
                "environment",
                &self.environment.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("flags", &self.flags.iter().map(|(flag, ..)| flag).collect::<Vec<_>>())
            .finish()
    }
}

/// The settings, and what `config show` prints of them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Checked and typed.
    pub settings: Settings,
    /// Every key in alphabetical order, secrets masked.
    pub values: Vec<ShownValue>,
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownValue {
    pub key: String,
    /// As TOML would write it; masked when secret.
    pub value: String,
    /// Which layer it came from.
    pub origin: SettingOrigin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    Default,
    /// The file given with `--config`.
    File(PathBuf),
    Environment(String),
    Flag(String),
    /// The content of a secret's file, which this origin named.
    SecretFile(PathBuf, Box<SettingOrigin>),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::SecretFile(path, named_by) => {
                write!(f, "file {}, named by {named_by}", path.display())
            }
        }
    }
}

pub(super) type Values = BTreeMap<String, (Raw, SettingOrigin)>;
type Layer = Vec<(String, Raw, SettingOrigin)>;

struct Merge<'a> {
    defaults: &'a Flat,
    values: Values,
    problems: Vec<SettingProblem>,
}

impl Merge<'_> {
    /// Puts one layer over those before.
    fn layer(&mut self, layer: &Layer) {
        for (key, raw, origin) in layer {
            if let Some(secret) = secret_of(key) {
                if layer.iter().any(|(other, ..)| other == secret) {
                    self.problems.push(SettingProblem::SecretTwice {
                        key: secret.to_owned(),
                        origin: origin.clone(),
                    });
                } else {
                    self.secret_file(secret, raw, origin);
                }
            } else {
                self.value(key, raw, origin);
            }
        }
    }

    fn value(&mut self, key: &str, raw: &Raw, origin: &SettingOrigin) {
        let Some(default) = self.default_of(key, origin) else {
            return;
        };
        if default.same_type(raw) {
            self.values.insert(key.to_owned(), (raw.clone(), origin.clone()));
        } else {
            self.wrong_type(key, origin, default.expected());
        }
    }

    /// A value that came as text, read by the type of its key.
    fn text(&mut self, layer: &mut Layer, key: String, text: &str, origin: SettingOrigin) {
        if secret_of(&key).is_some() {
            layer.push((key, Raw::Text(text.to_owned()), origin));
            return;
        }
        let Some(default) = self.default_of(&key, &origin) else {
            return;
        };
        match default.parse_like(text) {
            Some(raw) => layer.push((key, raw, origin)),
            None => self.wrong_type(&key, &origin, default.expected()),
        }
    }

    fn secret_file(&mut self, secret: &str, raw: &Raw, origin: &SettingOrigin) {
        let Raw::Text(path) = raw else {
            self.wrong_type(&format!("{secret}_file"), origin, "text");
            return;
        };
        let path = PathBuf::from(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                // Editors and `echo` end a file with a newline that is no part of the secret.
                let value = Raw::Text(text.trim_end_matches(['\r', '\n']).to_owned());
                let origin = SettingOrigin::SecretFile(path, Box::new(origin.clone()));
                self.values.insert(secret.to_owned(), (value, origin));
            }
            Err(cause) => {
                self.problems.push(SettingProblem::Unreadable { path, cause: cause.to_string() });
            }
        }
    }

    fn default_of(&mut self, key: &str, origin: &SettingOrigin) -> Option<Raw> {
        let default = key::template(key).and_then(|template| self.defaults.get(&template));
        if default.is_none() {
            self.problems.push(SettingProblem::UnknownKey {
                key: key.to_owned(),
                origin: origin.clone(),
                nearest: key::nearest(key, self.defaults),
            });
        }
        default.cloned()
    }

    fn wrong_type(&mut self, key: &str, origin: &SettingOrigin, expected: &'static str) {
        self.problems.push(SettingProblem::WrongType {
            key: key.to_owned(),
            origin: origin.clone(),
            expected,
        });
    }
}

fn secret_of(key: &str) -> Option<&str> {
    key.strip_suffix("_file").filter(|base| SECRET_KEYS.contains(base))
}

fn shown(values: Values) -> Vec<ShownValue> {
    let line = |(key, (raw, origin)): (String, (Raw, SettingOrigin))| {
        let value = match raw {
            Raw::Text(text) if SECRET_KEYS.contains(&key.as_str()) => {
                // A URI shows where it leads to; of any other secret nothing may be seen.
                let secret = Secret::new(text);
                let is_uri = key == "storage.uri";
                format!("{:?}", if is_uri { secret.masked() } else { secret.hidden() })
            }
            Raw::Text(text) => format!("{text:?}"),
            Raw::Int(number) => number.to_string(),
            Raw::Bool(flag) => flag.to_string(),
            Raw::Other => String::new(),
        };
        ShownValue { key, value, origin }
    };
    values.into_iter().map(line).collect()
}
