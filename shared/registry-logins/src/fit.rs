//! Which entry of a pull secret is about an image, as the kubelet judges it.

use model::ImageReference;

/// How well an entry fits an image: the host with `*` within its parts, the port as it is, then the front of the path. `None` when it
/// does not.
pub(crate) fn fit(name: &str, image: &ImageReference) -> Option<usize> {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest).trim_end_matches('/');
    let name = name.strip_suffix("/v1").or(name.strip_suffix("/v2")).unwrap_or(name);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let registry = if image.registry() == "docker.io" { "index.docker.io" } else { image.registry() };
    let host = if host == "docker.io" { "index.docker.io" } else { host };
    let split = |host: &str| {
        host.rsplit_once(':').map_or((host.to_owned(), String::new()), |(a, b)| (a.to_owned(), b.to_owned()))
    };
    let ((host, port), (own, own_port)) = (split(host), split(registry));
    let (parts, own): (Vec<&str>, Vec<&str>) = (host.split('.').collect(), own.split('.').collect());
    let is_host = parts.len() == own.len() && parts.iter().zip(&own).all(|(part, own)| matches(part, own));
    let is_path = image.repository().starts_with(path);
    (is_host && port == own_port && is_path).then_some(name.len())
}

/// `*` stands for any letters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut within) = (0, 0);
    // Where the last star stood, and what it took so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(at) {
        match pattern.get(within) {
            Some('*') => {
                star = Some((within, at));
                within += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == letter => (at, within) = (at + 1, within + 1),
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, within) = (taken + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(within..).is_some_and(|rest| rest.iter().all(|one| *one == '*'))
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn pull_secrets_fit_by_host_and_path() {
        for (name, image, expected) in [
            ("r.example", "r.example/a/b:1", Some(9)),
            ("https://r.example/v2/", "r.example/a", Some(9)),
            ("*.example", "r.example/a", Some(9)),
            ("r*y.exam?le", "registry.example/a", Some(11)),
            ("*.example", "a.b.example/a", None),
            ("r.example/a", "r.example/a/b", Some(11)),
            ("r.example/b", "r.example/a/b", None),
            ("r.example:5000", "r.example/a", None),
            ("https://index.docker.io/v1/", "debian:12", Some(15)),
        ] {
            assert_eq!(fit(name, &image.parse().unwrap()), expected, "{name} {image}");
        }
    }
}
