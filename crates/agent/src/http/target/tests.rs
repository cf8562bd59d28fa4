use super::*;

fn parse(url: &str) -> Result<Target, AddressError> {
    Target::parse(url, &Route::default())
}

#[test]
fn addresses_are_taken_apart_or_refused() {
    let target = parse("http://[::1]:8080/v1/").unwrap();
    assert_eq!(target.request_target(Api::OpenaiChat), "/v1/chat/completions");
    assert_eq!((target.host.as_str(), target.port), ("::1", 8080));
    let target = parse("http://example.org").unwrap();
    assert_eq!(target.request_target(Api::Ollama), "/api/generate");
    assert_eq!((target.tls.is_some(), target.port), (false, 80));
    for wrong in
        ["", "localhost:11434", "ftp://x", "http://", "http://user:pw@host", "http://h/?a=b"]
    {
        let error = parse(wrong).unwrap_err();
        assert!(matches!(error, AddressError::Address { .. }), "{wrong}");
    }
}

#[test]
fn a_proxy_is_asked_for_whole_addresses() {
    let through = |proxy: &str| {
        let route = Route { proxy: Some(proxy.to_owned()), ..Route::default() };
        Target::parse("http://host:1/base", &route)
    };
    let target = through("http://proxy:3128").unwrap();
    assert_eq!(target.request_target(Api::Ollama), "http://host:1/base/api/generate");
    assert_eq!(target.destination(), ("proxy", 3128));
    for wrong in ["proxy:3128", "https://proxy:1", "http://proxy", "http://u:p@proxy:1"] {
        let error = through(wrong).unwrap_err();
        assert!(matches!(error, AddressError::Proxy { .. }), "{wrong}");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "no certificate").unwrap();
    for path in [path, folder.path().join("gone.pem")] {
        let route = Route { ca_file: Some(path.clone()), ..Route::default() };
        let error = Target::parse("https://host", &route).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
