//! What the user asks for as a whole: a recipe for each of the two files, and exceptions by tensor name.
//!
//! It can be written down. A recipe file is text, one item per line:
//!
//! ```text
//! qasr-recipe 1
//! # Lines that start with # say something to people.
//! name balanced
//! decoder q4_0
//! encoder q8_0
//! tensor ^blk\.\d+\.ffn_down\.weight$ q5_0
//! cost kl 0.012
//! ```
//!
//! `encoder` may be left out and is the decoder's then. The first `tensor` line whose regular expression matches a
//! name counts. `cost` lines say what was measured; they go into the metadata of the files that are made, unless
//! another importance matrix is used than the one that a line `cost imatrix FILE` names (or than none).

use std::fmt;
use std::path::Path;

use qasr_format::GgmlType;
use qasr_format::schema::tensors::{self as names, decoder_part, encoder_layer_part};
use regex::bytes::{Regex, RegexBuilder};

use crate::checkpoint::read_text;
use crate::error::{ConvertError, Result};
use crate::file_type::{Choice, FileType, Role, choose, choose_as_told};

/// The types of both files.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Name of the recipe, if it has one: goes into file names and metadata.
    pub name: Option<String>,
    /// Types of the decoder file.
    pub decoder: FileType,
    /// Types of the mmproj file.
    pub encoder: FileType,
    /// Exceptions; the first that matches a tensor counts.
    pub overrides: Vec<Override>,
    /// Its measured cost: "kl 0.012".
    pub cost: Vec<String>,
}

/// A type for the tensors whose names a regular expression matches, wherever in the name.
#[derive(Debug, Clone)]
pub struct Override {
    pattern: Regex,
    kind: GgmlType,
}

/// The types that tensors can be written in.
pub const WRITABLE: [GgmlType; 10] = [
    GgmlType::F32,
    GgmlType::F16,
    GgmlType::BF16,
    GgmlType::Q8_0,
    GgmlType::Q6_K,
    GgmlType::Q5_K,
    GgmlType::Q5_0,
    GgmlType::Q4_K,
    GgmlType::Q4_0,
    GgmlType::IQ4_NL,
];

/// Recipes that come with the program.
const SHIPPED: [(&str, &str); 3] = [
    ("small", include_str!("../recipes/small.recipe")),
    ("balanced", include_str!("../recipes/balanced.recipe")),
    ("safe", include_str!("../recipes/safe.recipe")),
];

/// Before each of their cost lines: files of any model may be made with them.
const SHIPPED_MEASURED_ON: &str = "digits model: ";
/// First word of the cost line with the name of the importance matrix that was used when measuring.
const COST_IMPORTANCE: &str = "imatrix ";

/// First line of a recipe file.
const HEAD: &str = "qasr-recipe";
const VERSION: &str = "1";

impl Override {
    /// Tensors whose names match `pattern` get the type `kind`.
    ///
    /// # Errors
    /// [`crate::ConvertErrorKind::Usage`] when `pattern` is no regular expression, or `kind` no type that can be written.
    pub fn new(pattern: &str, kind: &str) -> Result<Self> {
        let kind = GgmlType::find(kind).filter(|kind| WRITABLE.contains(kind)).ok_or_else(|| {
            let known = WRITABLE.map(GgmlType::name).join(", ");
            ConvertError::usage(format!("'{kind}' is no type of a tensor; use one of: {known}"))
        })?;
        if pattern.is_empty() {
            return Err(ConvertError::usage("an empty expression would match every tensor; write .* if that is meant"));
        }
        // Names are ASCII: no need for the tables of Unicode, which this build leaves out.
        let pattern = RegexBuilder::new(pattern).unicode(false).build().map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            ConvertError::usage(format!("'{pattern}' is no regular expression: {why}"))
        })?;
        Ok(Self { pattern, kind })
    }

    /// Parses `REGEX=TYPE`.
    ///
    /// # Errors
    /// As [`Self::new`], and without an equals sign.
    pub fn parse(typed: &str) -> Result<Self> {
        let (pattern, kind) = typed
            .rsplit_once('=')
            .ok_or_else(|| ConvertError::usage(format!("'{typed}' is not REGEX=TYPE, as in ffn_down.weight=q6_k")))?;
        Self::new(pattern, kind)
    }

    /// The regular expression.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// The type.
    pub fn kind(&self) -> GgmlType {
        self.kind
    }

    /// Whether it is about the tensor of this name.
    pub fn matches(&self, name: &str) -> bool {
        self.pattern.is_match(name.as_bytes())
    }
}

impl PartialEq for Override {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern() && self.kind == other.kind
    }
}

/// As typed: `REGEX=TYPE`.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern(), self.kind)
    }
}

impl From<FileType> for Recipe {
    fn from(file_type: FileType) -> Self {
        Self::pair(file_type, file_type)
    }
}

impl Recipe {
    /// One recipe for each file, and no exceptions.
    pub fn pair(decoder: FileType, encoder: FileType) -> Self {
        Self { name: None, decoder, encoder, overrides: Vec::new(), cost: Vec::new() }
    }

    /// Names of the recipes that come with the program.
    pub fn shipped_names() -> [&'static str; 3] {
        SHIPPED.map(|(name, _)| name)
    }

    /// The recipe of this name that comes with the program, in any letter case.
    pub fn shipped(name: &str) -> Option<Self> {
        let (name, text) = SHIPPED.iter().find(|(shipped, _)| shipped.eq_ignore_ascii_case(name))?;
        // They are read by a test below.
        let mut recipe = Self::parse(text, Path::new(name)).ok()?;
        recipe.cost.iter_mut().for_each(|line| line.insert_str(0, SHIPPED_MEASURED_ON));
        Some(recipe)
    }

    /// A recipe by its name, or read from a file.
    ///
    /// # Errors
    /// [`crate::ConvertErrorKind::Usage`] when there is neither, the file cannot be read as text, or as
    /// [`Self::parse`].
    pub fn find(name_or_path: &Path) -> Result<Self> {
        if let Some(recipe) = name_or_path.to_str().and_then(Self::shipped) {
            return Ok(recipe);
        }
        if !name_or_path.is_file() {
            let known = Self::shipped_names().join(", ");
            return Err(ConvertError::usage(format!(
                "{}: no recipe of this name ({known}) and no file either",
                name_or_path.display()
            )));
        }
        let text = read_text(name_or_path).map_err(|error| {
            ConvertError::usage(format!("{error}; give a text file in UTF-8 that begins with '{HEAD} {VERSION}'"))
        })?;
        Self::parse(&text, name_or_path)
    }

    /// Reads the text of a recipe file; `path` only names it in errors.
    ///
    /// # Errors
    /// [`crate::ConvertErrorKind::Usage`], naming the file and the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |line: usize, what: String| ConvertError::usage(format!("{}:{}: {what}", path.display(), line + 1));
        let meant = |line: &&(usize, &str)| !line.1.is_empty() && !line.1.starts_with('#');
        let lines: Vec<(usize, &str)> = text.lines().map(str::trim).enumerate().collect();
        let mut lines = lines.iter().filter(meant);
        match lines.next().map(|(at, line)| (at, line.split_whitespace().collect::<Vec<_>>())) {
            Some((_, words)) if words == [HEAD, VERSION] => {}
            Some((&at, words)) if words.first() == Some(&HEAD) => {
                return Err(wrong(at, format!("a recipe of another version; this program reads '{HEAD} {VERSION}'")));
            }
            first => {
                let at = first.map_or(0, |(&at, _)| at);
                return Err(wrong(at, format!("not a recipe: it must begin with '{HEAD} {VERSION}'")));
            }
        }
        let (mut name, mut decoder, mut encoder) = (None, None, None);
        let (mut overrides, mut cost) = (Vec::new(), Vec::new());
        for &(at, line) in lines {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            let recipe = || {
                FileType::find(rest).ok_or_else(|| {
                    let known = FileType::ALL.map(FileType::name).join(", ");
                    wrong(at, format!("'{rest}' is no type for the {word}; use one of: {known}"))
                })
            };
            let is_repeated = match word {
                "name" if is_proper_name(rest) => name.replace(rest.to_owned()).is_some(),
                "name" => {
                    let what = format!("'{rest}' cannot be a recipe's name: letters, digits, '-', '_' and '.' only");
                    return Err(wrong(at, what));
                }
                "decoder" => decoder.replace(recipe()?).is_some(),
                "encoder" => encoder.replace(recipe()?).is_some(),
                "tensor" => {
                    let Some((pattern, kind)) = rest.rsplit_once(char::is_whitespace) else {
                        return Err(wrong(at, "a tensor line is 'tensor REGEX TYPE'".to_owned()));
                    };
                    let made = Override::new(pattern.trim_end(), kind);
                    overrides.push(made.map_err(|error| wrong(at, error.to_string()))?);
                    false
                }
                "cost" if rest.contains(char::is_whitespace) => {
                    cost.push(rest.to_owned());
                    false
                }
                "cost" => return Err(wrong(at, "a cost line is 'cost WHAT VALUE'".to_owned())),
                other => {
                    let what = format!("'{other}' is not one of name, decoder, encoder, tensor, cost");
                    return Err(wrong(at, what));
                }
            };
            if is_repeated {
                return Err(wrong(at, format!("'{word}' was said before")));
            }
        }
        let last = text.lines().count().saturating_sub(1);
        let decoder = decoder.ok_or_else(|| wrong(last, "the recipe has no 'decoder TYPE' line".to_owned()))?;
        let name = Some(name.ok_or_else(|| wrong(last, "the recipe has no 'name NAME' line".to_owned()))?);
        Ok(Self { name, decoder, encoder: encoder.unwrap_or(decoder), overrides, cost })
    }

    /// The text of a recipe file that reads back as this; without a name it is called after the decoder's type.
    pub fn to_text(&self) -> String {
        let mut lines = vec![
            format!("{HEAD} {VERSION}"),
            format!("name {}", self.name.as_deref().unwrap_or(self.decoder.name())),
            format!("decoder {}", self.decoder),
            format!("encoder {}", self.encoder),
        ];
        lines.extend(self.overrides.iter().map(|item| format!("tensor {} {}", item.pattern(), item.kind)));
        lines.extend(self.cost.iter().map(|line| format!("cost {line}")));
        lines.join("\n") + "\n"
    }

    /// What was measured, if files made with the importance matrix of this name, or without one, are what was measured;
    /// else nothing.
    pub fn cost_with(&self, importance: Option<&str>) -> &[String] {
        let named = self.cost.iter().find_map(|line| {
            line.strip_prefix(SHIPPED_MEASURED_ON).unwrap_or(line).strip_prefix(COST_IMPORTANCE).map(str::trim)
        });
        if named == importance { &self.cost } else { &[] }
    }

    /// Whether two recipes by name say all of it.
    pub fn is_plain(&self) -> bool {
        self.name.is_none() && self.overrides.is_empty()
    }

    /// Labels in the names of the decoder and mmproj files: the recipe's name, or the types' names with a hint at exceptions.
    pub fn labels(&self) -> [String; 2] {
        [self.decoder, self.encoder].map(|recipe| match &self.name {
            Some(name) => name.clone(),
            None if self.overrides.is_empty() => recipe.to_string(),
            None => format!("{recipe}-custom"),
        })
    }
}

/// Part of a file name on every system.
fn is_proper_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=40).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('.')
}

/// Chooses the type of one tensor after the other, and remembers which exceptions were of use.
pub(crate) struct Chooser<'t> {
    types: &'t Recipe,
    /// For each override: whether it matched a matrix, and the first other tensor it matched.
    matched: Vec<(bool, Option<String>)>,
}

impl<'t> Chooser<'t> {
    pub fn new(types: &'t Recipe) -> Self {
        Self { types, matched: vec![(false, None); types.overrides.len()] }
    }

    /// The type for the tensor `name` of one of the two files, which has `layers` layers.
    pub fn choose(&mut self, name: &str, dims: &[u64], layers: usize) -> Choice {
        let role = role(name, dims, layers);
        let row_len = dims.first().copied().unwrap_or(1);
        let is_free = !matches!(role, Role::Vector | Role::Positions);
        let mut told = None;
        for (item, (is_of_use, other)) in self.types.overrides.iter().zip(&mut self.matched) {
            if item.matches(name) {
                *is_of_use |= is_free || item.kind == GgmlType::F32;
                if !is_free {
                    other.get_or_insert_with(|| name.to_owned());
                }
                told = told.or(Some(item.kind));
            }
        }
        let recipe = if is_of_encoder(name) { self.types.encoder } else { self.types.decoder };
        match told.filter(|_| is_free) {
            Some(kind) => choose_as_told(kind, role, row_len),
            None => choose(recipe, role, row_len),
        }
    }

    /// # Errors
    /// A usage error that lists the exceptions that no tensor could have.
    pub fn finish(self) -> Result<()> {
        let mut useless = Vec::new();
        for (item, (is_of_use, other)) in self.types.overrides.iter().zip(self.matched) {
            match other {
                _ if is_of_use => {}
                Some(name) => useless.push(format!(
                    "'{item}' matches only tensors that stay f32, such as {name}: vectors and positions are not quantized"
                )),
                None => useless.push(format!("'{item}' matches no tensor")),
            }
        }
        if useless.is_empty() {
            return Ok(());
        }
        let what = "these exceptions have no effect; see the names with a dry run or `qasr inspect`:";
        Err(ConvertError::usage(what).with_items(useless))
    }
}

fn is_of_encoder(name: &str) -> bool {
    name.starts_with("a.") || name.starts_with("mm.a.")
}

fn role(name: &str, dims: &[u64], layers: usize) -> Role {
    if name == names::POSITION_EMBD {
        return Role::Positions;
    }
    if name == names::TOKEN_EMBD || name == names::OUTPUT {
        return Role::Table;
    }
    if dims.len() == 1 || (dims.len() == 3 && dims[..2] == [1, 1]) {
        return Role::Vector;
    }
    if dims.len() == 4 {
        return Role::Convolution;
    }
    let mut parts = name.split('.').skip_while(|&part| part != "blk").skip(1);
    let (Some(layer), Some(part)) = (parts.next().and_then(|n| n.parse().ok()), parts.next()) else {
        return Role::Passage;
    };
    // Both files call these parts the same.
    let is_sensitive = [decoder_part::ATTN_V, decoder_part::FFN_DOWN].contains(&part)
        || [encoder_layer_part::ATTN_V, encoder_layer_part::FFN_DOWN].contains(&part);
    if is_sensitive { Role::Sensitive { layer, layers } } else { Role::Ordinary }
}

#[cfg(test)]
mod tests;
