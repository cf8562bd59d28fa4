//! The words of answers that are none: a web page in place of JSON, a redirect. They are the same for calls
//! that are measured and for the questions beside them, and in both runtimes.

use formats::endpoint;

use super::json::shortened;
use super::words::element;

/// How much of an answer is looked at to see whether it is a web page, bytes.
const HEAD: usize = 1024;

/// A web page, named by its title where it has one; `None`: it is something else.
#[must_use]
pub fn web_page(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('<') {
        return None;
    }
    let head = shortened(text, HEAD).to_ascii_lowercase();
    let marks = ["<!doctype html", "<html", "<head", "<title", "<body"];
    if !marks.iter().any(|mark| head.contains(mark)) {
        return None;
    }
    let title = ["title", "h1"].iter().find_map(|name| element(text, name));
    Some(title.map_or_else(
        || "an HTML page without a title".to_owned(),
        |title| format!("an HTML page titled \"{title}\""),
    ))
}

/// A redirect in words. `path` is what was asked for below the base address.
#[must_use]
pub fn moved(location: Option<&str>, path: &str) -> String {
    let Some(location) = location else {
        return "the server redirects without saying where to, and redirects are not followed"
            .to_owned();
    };
    let shown = shortened(&endpoint::shown(location), 200);
    let address = moved_base(location, path).map_or_else(
        || "the address that it leads to".to_owned(),
        |base| shortened(&endpoint::shown(base), 200),
    );
    format!(
        "the server redirects to {shown}, and redirects are not followed: put {address} into the \
         manifest as the endpoint's address"
    )
}

/// The base address that a redirect of `path` leads to, if it leads to the same path there.
fn moved_base<'l>(location: &'l str, path: &str) -> Option<&'l str> {
    let is_whole = location.starts_with("http://") || location.starts_with("https://");
    location.strip_suffix(path).filter(|base| is_whole && base.len() > "https://".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_named_by_its_title() {
        for (text, said) in [
            (
                "<!DOCTYPE html><html><head><title>Sign\n in</title>",
                Some("an HTML page titled \"Sign in\""),
            ),
            (
                "\u{feff} <html><body><h1 class=x>401 No</h1>",
                Some("an HTML page titled \"401 No\""),
            ),
            ("<html><title></title></html>", Some("an HTML page without a title")),
            ("<HTML>It works", Some("an HTML page without a title")),
            ("<?xml version=\"1.0\"?><Error/>", None),
            ("{\"error\":\"<html>\"}", None),
            ("", None),
        ] {
            assert_eq!(web_page(text).as_deref(), said, "{text}");
        }
    }

    #[test]
    fn a_redirect_names_the_address_that_belongs_into_the_manifest() {
        let said = moved(Some("https://b.example/v1/chat/completions"), "/chat/completions");
        assert!(said.contains("redirects to https://b.example/v1/chat/completions,"), "{said}");
        assert!(said.contains("put https://b.example/v1 into the manifest"), "{said}");
        for elsewhere in ["/login", "https://b.example/login", "https:///chat/completions"] {
            let said = moved(Some(elsewhere), "/chat/completions");
            assert!(said.contains(elsewhere) && said.contains("that it leads to"), "{said}");
        }
        assert!(moved(None, "/x").contains("without saying where to"));
        for to in ["https://me:secret@b.example/x", "https://b.example/x?api_key=secret"] {
            let said = moved(Some(to), "/x");
            assert!(said.contains("b.example/x") && !said.contains("secret"), "{said}");
        }
    }
}
