//! Where a reference leads that stands in what was fetched (RFC 3986 §5), as long as it stays at the same host.

/// The longest path that is asked for, in octets.
const PATH_MAX: usize = 4096;

/// The path, with its query, to which `reference` leads from what was fetched at `base` (a path with its query) of
/// `scheme` and `authority`.
///
/// # Errors
/// What keeps a probe from following it.
pub(super) fn followed(
    reference: &str,
    base: &str,
    scheme: &str,
    authority: &str,
) -> Result<String, &'static str> {
    let reference = reference.split('#').next().unwrap_or_default();
    let within = local(reference, scheme, authority)?;
    let base_path = base.split('?').next().unwrap_or(base);
    let (path, query) = match within.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (within, None),
    };
    // §5.2.2, §5.2.3
    let path = match path {
        "" if within.len() < reference.len() => "/".to_owned(),
        "" if query.is_none() => return Ok(base.to_owned()),
        "" => base_path.to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => {
            let directory = base_path.rfind('/').map_or("/", |at| &base_path[..=at]);
            without_dots(&format!("{directory}{relative}"))
        }
    };
    let whole = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    match whole.len() <= PATH_MAX && whole.bytes().all(|octet| octet.is_ascii_graphic()) {
        true => Ok(whole),
        false => Err("no URI"),
    }
}

/// What of a reference stands behind scheme and authority, which must be those.
fn local<'r>(reference: &'r str, scheme: &str, authority: &str) -> Result<&'r str, &'static str> {
    let elsewhere = "it lies at another host, which is not probed";
    let named = reference.split_once(':').filter(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
    });
    let rest = match named {
        Some((name, rest)) if name.eq_ignore_ascii_case(scheme) => rest,
        Some(_) => return Err("it has another scheme, which is not probed"),
        None => reference,
    };
    let Some(behind) = rest.strip_prefix("//") else {
        // `http:a` is no way to write a relative one (§5.2.2, strict).
        return if named.is_some() { Err("no URI") } else { Ok(rest) };
    };
    let (host, path) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let bare = |host: &str| host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
    if bare(host) == bare(authority) { Ok(path) } else { Err(elsewhere) }
}

/// §5.2.4: `.` and `..` are taken out; nothing lies above the root.
fn without_dots(path: &str) -> String {
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let mut kept: Vec<&str> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let last = at + 1 == steps.len();
        match *step {
            "." | ".." => {
                if *step == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            plain => kept.push(plain),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    fn from(base: &str, reference: &str) -> Result<String, &'static str> {
        followed(reference, base, "http", "a")
    }

    /// RFC 3986 §5.4, from `http://a/b/c/d;p?q`, without those that lead elsewhere.
    #[test]
    fn references_lead_where_the_rfc_says() {
        let cases = [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("../../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/./y", "/b/c/g;x=1/y"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/./x", "/b/c/g?y/./x"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ];
        for (reference, path) in cases {
            assert_eq!(from("/b/c/d;p?q", reference).as_deref(), Ok(path), "{reference}");
        }
    }

    #[test]
    fn the_same_host_may_be_named() {
        for reference in ["http://a/x", "HTTP://A/x", "http://a:80/x", "//a/x"] {
            assert_eq!(from("/b", reference).as_deref(), Ok("/x"), "{reference}");
        }
        assert_eq!(from("/b", "http://a").as_deref(), Ok("/"));
        assert_eq!(from("/b", "http://a?x").as_deref(), Ok("/?x"));
        assert_eq!(followed("https://h:8443/x", "/", "https", "h:8443").as_deref(), Ok("/x"));
    }

    #[test]
    fn what_leads_elsewhere_is_not_followed() {
        for reference in ["http://b/x", "//b/x", "http://a:81/x", "http://a@b/x"] {
            assert_eq!(
                from("/b", reference),
                Err("it lies at another host, which is not probed"),
                "{reference}"
            );
        }
        assert_eq!(from("/b", "https://a/x"), Err("it has another scheme, which is not probed"));
        for reference in ["http:g", "a b", "ü", &"x".repeat(5000)] {
            assert_eq!(from("/b", reference), Err("no URI"), "{reference}");
        }
    }

    proptest! {
        // Whatever is followed is a path of at most so many octets, without dots to climb by.
        #[test]
        fn a_path_comes_of_it(reference in "\\PC*|[a./?:#]{0,30}") {
            if let Ok(path) = from("/b/c?q", &reference) {
                assert!(path.starts_with('/') && path.len() <= PATH_MAX);
                assert!(!path.split('?').next().unwrap().contains("/../"));
            }
        }
    }
}
