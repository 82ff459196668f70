//! Recipes as text and by name, and which exception a tensor gets.

use super::*;

const TEXT: &str = "\
# The first lines may be comments.

qasr-recipe 1
name mine-1.2
  decoder Q4_K_M
encoder\tq8_0
# A comment between.
tensor ^blk\\.\\d+\\.ffn_(up|down)\\.weight$   q5_0
tensor a b#c f16
cost kl 0.0123 nats
cost wer_en 2.1 %
";

fn parse(text: &str) -> Result<Recipe> {
    Recipe::parse(text, Path::new("some.recipe"))
}

#[test]
fn a_recipe_is_read_and_written_and_read_again() {
    let recipe = parse(TEXT).expect("recipe");
    assert_eq!((recipe.decoder, recipe.encoder), (FileType::Q4KM, FileType::Q8_0));
    let items: Vec<String> = recipe.overrides.iter().map(Override::to_string).collect();
    assert_eq!(items, [r"^blk\.\d+\.ffn_(up|down)\.weight$=q5_0", "a b#c=f16"]);
    assert_eq!(recipe.cost, ["kl 0.0123 nats", "wer_en 2.1 %"]);
    assert_eq!(recipe.labels(), ["mine-1.2", "mine-1.2"]);
    assert_eq!(parse(&recipe.to_text()).expect("again"), recipe);
    let windows = parse(&TEXT.replace('\n', "\r\n")).expect("line ends of Windows");
    assert_eq!(windows, recipe);
    let short = parse("qasr-recipe 1\nname x\ndecoder q5_0\n").expect("short");
    assert_eq!((short.decoder, short.encoder), (FileType::Q5_0, FileType::Q5_0));
}

#[test]
fn every_fault_of_a_recipe_names_its_line() {
    let refused = |text: &str, line: usize, part: &str| {
        let error = parse(text).expect_err(text);
        let said = error.to_string();
        assert_eq!(error.kind(), crate::ConvertErrorKind::Usage, "{said}");
        assert!(said.starts_with(&format!("some.recipe:{line}: ")) && said.contains(part), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    refused("", 1, "must begin with 'qasr-recipe 1'");
    refused("\n# x\nname x\n", 3, "must begin with");
    refused("qasr-recipe 2\n", 1, "another version");
    refused("qasr-recipe\n", 1, "another version");
    let with = |line: &str| format!("qasr-recipe 1\nname x\ndecoder q4_0\n{line}\n");
    refused(&with("name y"), 4, "'name' was said before");
    refused(&with("decoder f16"), 4, "'decoder' was said before");
    refused(&with("encoder f16\nencoder f16"), 5, "'encoder' was said before");
    refused(&with("encoder q3_k"), 4, "'q3_k' is no type for the encoder; use one of: f32");
    refused(&with("encoder"), 4, "'' is no type for the encoder");
    refused(&with("tensor x"), 4, "'tensor REGEX TYPE'");
    refused(&with("tensor x q9"), 4, "'q9' is no type of a tensor; use one of: f32");
    refused(&with("tensor x q2_k"), 4, "'q2_k' is no type of a tensor");
    refused(&with("tensor (x q4_0"), 4, "'(x' is no regular expression: unclosed group");
    refused(&with("cost 5"), 4, "'cost WHAT VALUE'");
    refused(&with("colour red"), 4, "'colour' is not one of");
    refused("qasr-recipe 1\nname x\n", 2, "no 'decoder TYPE' line");
    refused("qasr-recipe 1\ndecoder f16\n", 2, "no 'name NAME' line");
    for name in ["", "../x", ".x", "a b", "ü", &"x".repeat(41)] {
        refused(&format!("qasr-recipe 1\nname {name}\n"), 2, "cannot be a recipe's name");
    }
}

#[test]
fn shipped_recipes_are_found_by_name_and_fit_rows_of_896() {
    let sizes = |recipe: &Recipe| {
        let mut chooser = Chooser::new(recipe);
        let dims = [("a.blk.3.ffn_up.weight", 896), ("a.blk.3.attn_v.weight", 896), ("a.conv_out.weight", 7680)];
        for (name, row_len) in dims {
            assert_eq!(chooser.choose(name, &[row_len, 896], 18).instead_of, None, "{recipe:?}: {name}");
        }
        let mut bits = |name: &str| chooser.choose(name, &[1024, 1024], 28).kind.bits_per_value();
        assert!(bits("token_embd.weight") > 6.0, "{recipe:?}");
        assert!(bits("blk.5.ffn_down.weight") >= bits("blk.5.ffn_up.weight"));
        bits("blk.5.ffn_up.weight") + bits("a.blk.3.ffn_up.weight") + bits("token_embd.weight")
    };
    let recipes = Recipe::shipped_names().map(|name| {
        let recipe = Recipe::find(Path::new(&name.to_uppercase())).expect(name);
        assert_eq!(recipe.name.as_deref(), Some(name));
        recipe
    });
    let [small, balanced, safe] = recipes.each_ref().map(sizes);
    assert!(small < balanced && balanced < safe, "{small} {balanced} {safe}");
    for recipe in &recipes {
        assert!(recipe.cost.len() > 3, "{recipe:?}");
        assert!(recipe.cost.iter().all(|line| line.starts_with("digits model: ")), "{recipe:?}");
    }
    let error = Recipe::find(Path::new("no/such.recipe")).expect_err("neither").to_string();
    assert!(error.contains("no/such.recipe") && error.contains("small, balanced, safe"), "{error}");
}

#[test]
fn a_recipe_file_that_is_no_text_is_a_usage_error() {
    let path = std::env::temp_dir().join(format!("qasr-no-text-{}.recipe", std::process::id()));
    let refused = |part: &str| {
        let error = Recipe::find(&path).expect_err(part);
        let said = error.to_string();
        assert_eq!(error.kind(), crate::ConvertErrorKind::Usage, "{said}");
        assert!(said.contains(part) && said.contains("UTF-8 that begins with 'qasr-recipe 1'"), "{said}");
        assert!(said.starts_with(&path.display().to_string()) && said.lines().count() == 1, "{said}");
    };
    std::fs::write(&path, b"qasr-recipe 1\nname \xff\ndecoder f16\n").expect("write");
    refused("cannot read the file");
    let file = std::fs::File::create(&path).expect("create");
    file.set_len(65 << 20).expect("a hole");
    refused("too many for this file");
    std::fs::remove_file(&path).expect("clean");
}

#[test]
fn cost_holds_only_with_the_importance_it_was_measured_with() {
    let recipe = |cost: &[&str]| Recipe {
        cost: cost.iter().map(|&line| line.to_owned()).collect(),
        ..Recipe::from(FileType::Q4_0)
    };
    let without = recipe(&["kl 0.5", "imatrixes none"]);
    assert_eq!(without.cost_with(None), without.cost);
    assert_eq!(without.cost_with(Some("a.gguf")), [""; 0]);
    for line in ["imatrix a.gguf", "digits model: imatrix a.gguf"] {
        let with = recipe(&["kl 0.5", line]);
        assert_eq!(with.cost_with(Some("a.gguf")), with.cost);
        assert_eq!(with.cost_with(Some("b.gguf")), [""; 0]);
        assert_eq!(with.cost_with(None), [""; 0]);
    }
}

#[test]
fn exceptions_are_typed_as_an_expression_and_a_type() {
    let item = Override::parse("ffn_down=weight=Q6_K").expect("the last equals sign counts");
    assert_eq!((item.pattern(), item.kind()), ("ffn_down=weight", GgmlType::Q6_K));
    for (typed, part) in [
        ("x", "not REGEX=TYPE"),
        ("x=q2_k", "'q2_k' is no type"),
        ("=f16", "empty expression"),
        ("[=f16", "no regular"),
    ] {
        let said = Override::parse(typed).expect_err(typed).to_string();
        assert!(said.contains(part) && said.lines().count() == 1, "{typed}: {said}");
    }
}

fn with(items: &[&str]) -> Recipe {
    let overrides = items.iter().map(|item| Override::parse(item).expect(item)).collect();
    Recipe { overrides, ..Recipe::pair(FileType::Q4_0, FileType::Q8_0) }
}

#[test]
fn the_first_exception_that_matches_counts() {
    let types = with(&[
        "blk.0.ffn_down=q6_k",
        "ffn_down=q5_0",
        "conv2d.1=q4_0",
        "conv2d.2=f32",
        "conv2d.3=bf16",
        "narrow=q4_k",
    ]);
    assert_eq!(types.labels(), ["q4_0-custom", "q8_0-custom"]);
    let mut chooser = Chooser::new(&types);
    let mut kind = |name: &str, dims: &[u64]| {
        let choice = chooser.choose(name, dims, 2);
        (choice.kind.name(), choice.instead_of.map(GgmlType::name))
    };
    assert_eq!(kind("blk.0.ffn_down.weight", &[512, 256]), ("q6_k", None));
    assert_eq!(kind("blk.1.ffn_down.weight", &[512, 256]), ("q5_0", None));
    assert_eq!(kind("blk.1.ffn_up.weight", &[256, 512]), ("q4_0", None));
    assert_eq!(kind("a.blk.1.ffn_up.weight", &[256, 512]), ("q8_0", None));
    assert_eq!(kind("mm.a.mlp.1.weight", &[256, 256]), ("q8_0", None));
    // A vector among what is matched stays as it is, a kernel gets what fits, narrow rows fall back.
    assert_eq!(kind("a.blk.1.ffn_down.bias", &[256]), ("f32", None));
    assert_eq!(kind("a.conv2d.1.weight", &[3, 3, 1, 32]), ("f16", Some("q4_0")));
    assert_eq!(kind("a.conv2d.2.weight", &[3, 3, 32, 32]), ("f32", None));
    assert_eq!(kind("a.conv2d.3.weight", &[3, 3, 32, 32]), ("f16", Some("bf16")), "ggml's convolution takes no bf16");
    assert_eq!(kind("blk.0.narrow.weight", &[224, 256]), ("iq4_nl", Some("q4_k")));
    chooser.finish().expect("all are of use");
}

#[test]
fn exceptions_without_effect_are_listed() {
    let types = with(&["ffn_down=q6_k", "no_such=q6_k", "attn_norm=q8_0", "output_norm=f32"]);
    let mut chooser = Chooser::new(&types);
    for (name, dims) in
        [("blk.0.ffn_down.weight", &[512, 256][..]), ("blk.0.attn_norm.weight", &[256]), ("output_norm.weight", &[256])]
    {
        chooser.choose(name, dims, 1);
    }
    let error = chooser.finish().expect_err("two are useless");
    assert_eq!(error.kind(), crate::ConvertErrorKind::Usage);
    let [first, second] = error.items() else { panic!("{error}") };
    assert!(first.contains("'no_such=q6_k' matches no tensor"), "{first}");
    assert!(second.contains("'attn_norm=q8_0'") && second.contains("blk.0.attn_norm.weight"), "{second}");
}
