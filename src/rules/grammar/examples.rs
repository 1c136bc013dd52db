//! Owns: an example for keys whose type alone does not show what is wanted.
//!
//! Must not know: which tables have these keys.

/// What can be written for a key, as TOML.
pub fn example(key: &str) -> Option<&'static str> {
    Some(match key {
        "base_url" => "\"https://api.example.com/v1\"",
        "schedule" => "\"*/5 * * * *\"",
        "full_scan" => "\"0 3 * * *\"",
        "timezone" => "\"Europe/London\"",
        "allowed_hosts" => "[\"*.example.com\"]",
        "priority" => "[\"local\", \"crm\"]",
        "keys" => "[[\"email\"], [\"name\", \"phone\"]]",
        "one_of" => "[\"lead\", \"customer\"]",
        "headers" => "{ Accept = \"application/json\" }",
        "query" => "{ limit = \"100\" }",
        "header" => "\"X-Api-Key\"",
        "method" => "\"POST\"",
        "into" => "\"query.page\"",
        "owner" => "\"billing\"",
        "group" => "\"address\"",
        "to" => "\"companies\"",
        "token" | "password" => "\"${secret.NAME}\"",
        "username" => "\"sync\"",
        "records" => "\".results[]\"",
        "id" => "\".id\"",
        "map" => "{ email = \".email\" }",
        "fields" => "{ email = \"text\" }",
        "when" => "'.deleted == true'",
        "archived" => "'.archived == true'",
        "merged_into" => "\".mergedInto\"",
        "check" => "{ request = \"GET /me\", account = \".account.id\" }",
        "account" => "\".account.id\"",
        "key" => "\".sku\"",
        "where" => "'.type == \"person\"'",
        "next" => "\".paging.next\"",
        "per" => "\"10s\"",
        "class" => "\"rate_limited\"",
        "type" => "\"text\"",
        "ops" => "[\"create\", \"update\"]",
        "items" => "\".items\"",
        "by" => "\"index\"",
        "split" => "\";\"",
        "bool" => "[\"yes\", \"no\"]",
        _ => return None,
    })
}
