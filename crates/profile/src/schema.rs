//! The JSON Schema of a profile file (JSON Schema 2020-12), for editors and for IT's own checks.
//!
//! It describes what is well typed. `x-daypass-counts` tells which layers a key counts in (`everywhere`, `user-tightens`,
//! `managed-only`), `x-daypass-ceiling` what no profile can lift; what depends on other keys is [`crate::check`]'s.

use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema, made from the types in [`crate::format`].
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<crate::format::File>().to_value();
    without_null(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "Daypass profile".into());
    }
    crate::keys::annotate(&mut schema);
    schema
}

/// A key that may be absent is not a key that may be null: TOML has no null, and JSON's is refused.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
                alternatives.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(one)] = alternatives.as_slice() {
                    let one = one.clone();
                    object.remove("anyOf");
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_be_null_and_nothing_unknown() {
        let schema = schema();
        let text = schema.to_string();
        assert!(!text.contains("null"), "{text}");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["version"]));
        let resource = &schema["properties"]["resources"]["additionalProperties"];
        assert_eq!(resource["properties"]["lifetime"]["default"], "5m");
        assert_eq!(resource["additionalProperties"], false);
        assert_eq!(resource["properties"]["lifetime"]["x-daypass-ceiling"], "1m to 1h");
        assert_eq!(resource["properties"]["peers"]["anyOf"][1]["maxItems"], 20_000, "{resource}");
        assert_eq!(schema["properties"]["network"]["x-daypass-counts"], "managed-only");
        assert_eq!(schema["properties"]["links"]["maxProperties"], 8);
        let annotated = text.matches("x-daypass-counts").count();
        assert_eq!(annotated, crate::explain_all().len(), "every key says where it counts");
    }
}
