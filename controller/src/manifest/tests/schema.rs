//! Shapes of schemas that other kinds may have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::{errors, with_spec};
use crate::manifest::load::{KindSchema, Loaded, load_text};

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is looked at")]
struct Shapes {
    ratio: Option<f32>,
    #[schemars(length(min = 1, max = 3))]
    code: Option<String>,
    #[schemars(length(min = 1, max = 2))]
    list: Option<Vec<u8>>,
    either: Option<Either>,
    tagged: Option<Tagged>,
    outer: Option<Outer>,
    plain: Option<Plain>,
    any: Option<Value>,
    more: Option<BTreeMap<String, Plain>>,
    tree: Option<Box<Shapes>>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the schema is looked at")]
enum Either {
    Number(u16),
    Map { from: String },
}

#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(dead_code, reason = "only the schema is looked at")]
enum Tagged {
    File { path: String },
    Env { name: String },
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only the schema is looked at")]
enum Outer {
    File(String),
    Env(u8),
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is looked at")]
enum Plain {
    One,
    Two,
}

fn loaded(spec: &str) -> Loaded {
    let kinds = [KindSchema {
        kind: "PostgresCluster",
        schema: schemars::schema_for!(Shapes).to_value(),
        validate: |_, _| Vec::new(),
        uses: |_, _| Vec::new(),
        folders: &[],
    }];
    load_text("pg.yaml", with_spec(spec).as_bytes(), &kinds)
}

#[test]
fn alternatives_are_told_apart() {
    let spec = "either: 5\ntagged: {type: env, name: A}\nouter: {file: /a}\nplain: Two\nany: {a: [1, 1.5, x, ~, true]}\nmore: {a: One}\nratio: 1\ntree: {either: {from: x}}";
    let loaded = loaded(spec);
    assert_eq!(errors(&loaded), "");
    insta::assert_snapshot!(loaded.documents[0].spec, @r#"{"either":5,"tagged":{"type":"env","name":"A"},"outer":{"file":"/a"},"plain":"Two","any":{"a":[1,1.5,"x",null,true]},"more":{"a":"One"},"ratio":1.0,"tree":{"either":{"from":"x"}}}"#);
}

#[test]
fn errors_are_those_of_the_alternative_that_was_meant() {
    insta::assert_snapshot!(errors(&loaded("either: {form: x}\ntagged: {type: env}\nouter: {env: 300}\nplain: Tow\nmore: {a: Three}")), @"
    error: `spec.either.from` is missing
      --> pg.yaml:6:3
       |
     6 |   either: {form: x}
       |   ^^^^^^
       = help: add `from: …`
    error: `spec.tagged.name` is missing
      --> pg.yaml:7:3
       |
     7 |   tagged: {type: env}
       |   ^^^^^^
       = help: add `name: …`
    error: `spec.outer.env` cannot be 300
      --> pg.yaml:8:16
       |
     8 |   outer: {env: 300}
       |                ^^^
       = help: write a whole number from 0 to 255
    error: `spec.plain` cannot be `Tow`
      --> pg.yaml:9:10
       |
     9 |   plain: Tow
       |          ^^^
       = help: did you mean `Two`?
    error: `spec.more.a` cannot be `Three`
      --> pg.yaml:10:13
       |
    10 |   more: {a: Three}
       |             ^^^^^
       = help: possible are `One` and `Two`
    ");
    insta::assert_snapshot!(errors(&loaded("either: []\ntagged: {type: http}\nouter: {url: x}")), @"
    error: `spec.either` has none of the forms that it can have, found a list
      --> pg.yaml:6:11
       |
     6 |   either: []
       |           ^
       = help: write a whole number, or a map with `from`
    error: `spec.tagged` has none of the forms that it can have, found a map
      --> pg.yaml:7:11
       |
     7 |   tagged: {type: http}
       |           ^
       = help: write a map with `type` and `path`, or a map with `type` and `name`
    error: `spec.outer` has none of the forms that it can have, found a map
      --> pg.yaml:8:10
       |
     8 |   outer: {url: x}
       |          ^
       = help: write a map with `file`, or a map with `env`
    ");
}

#[test]
fn lengths_and_numbers_are_checked() {
    insta::assert_snapshot!(errors(&loaded("ratio: fast\ncode: abcd\nlist: []\ntree: {code: \"\", list: [1, 2, 300], ratio: .inf}")), @r#"
    error: `spec.ratio` must be a number, found the text `fast`
      --> pg.yaml:6:10
       |
     6 |   ratio: fast
       |          ^^^^
       = help: write digits, such as `2`
    error: `spec.code` is too long: 4 characters
      --> pg.yaml:7:9
       |
     7 |   code: abcd
       |         ^^^^
       = help: write 3 characters or fewer
    error: `spec.list` has too few entries: 0
      --> pg.yaml:8:3
       |
     8 |   list: []
       |   ^^^^
       = help: write at least 1
    error: `spec.tree.code` is empty
      --> pg.yaml:9:16
       |
     9 |   tree: {code: "", list: [1, 2, 300], ratio: .inf}
       |                ^^
       = help: write 1 characters or more
    error: `spec.tree.list` has too many entries: 3
      --> pg.yaml:9:20
       |
     9 |   tree: {code: "", list: [1, 2, 300], ratio: .inf}
       |                    ^^^^
       = help: write at most 2
    error: `spec.tree.list[2]` cannot be 300
      --> pg.yaml:9:33
       |
     9 |   tree: {code: "", list: [1, 2, 300], ratio: .inf}
       |                                 ^^^
       = help: write a whole number from 0 to 255
    error: `spec.tree.ratio` must be a number, found the number `.inf`
      --> pg.yaml:9:46
       |
     9 |   tree: {code: "", list: [1, 2, 300], ratio: .inf}
       |                                              ^^^^
       = help: write digits, such as `2`
    "#);
}
