//! A registry with its mirrors: the first that has the image gives its layers, too.

use std::io::Read;
use std::sync::OnceLock;

use model::ImageReference;

use crate::config::Pull;
use crate::error::ScanError;
use crate::layer::Layer;
use crate::limits::Limits;
use crate::manifest::Platform;
use crate::source::Image;
use crate::source::registry::Registry;

pub(crate) struct Mirrors {
    /// Mirrors first, then the registry that the image names.
    all: Vec<Registry>,
    chosen: OnceLock<usize>,
}

impl Mirrors {
    pub(crate) fn new(image: &ImageReference, pull: &Pull, limits: &Limits) -> Self {
        let mirrors = pull.mirrors.get(image.registry()).into_iter().flatten();
        let mirrored = mirrors.filter_map(|mirror| {
            let moved = moved(image, mirror);
            if moved.is_none() {
                tracing::warn!(mirror, "not an address of a registry, passed over");
            }
            moved
        });
        let all = mirrored.chain([image.clone()]).map(|image| Registry::new(image, pull, limits)).collect();
        Self { all, chosen: OnceLock::new() }
    }

    /// Asks one after the other. What the registry itself says counts when none has the image.
    pub(crate) async fn resolve(&self, platform: &Platform) -> Result<Image, ScanError> {
        let mut last = None;
        for (place, registry) in self.all.iter().enumerate() {
            match registry.resolve(platform).await {
                Ok(image) => {
                    self.chosen.get_or_init(|| place);
                    return Ok(image);
                }
                Err(error) => {
                    tracing::info!(image = %registry.image(), %error, "not here");
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| ScanError::Target { target: String::new(), what: "no registry".to_owned() }))
    }

    pub(crate) async fn open(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, ScanError> {
        let chosen = self.chosen.get().and_then(|place| self.all.get(*place)).or(self.all.last());
        match chosen {
            Some(registry) => registry.open(layer).await,
            None => Err(ScanError::Target { target: layer.name().to_owned(), what: "no registry".to_owned() }),
        }
    }
}

/// The image at a mirror.
fn moved(image: &ImageReference, mirror: &str) -> Option<ImageReference> {
    let version = match (image.digest(), image.tag()) {
        (Some(digest), _) => format!("@{digest}"),
        (None, tag) => format!(":{}", tag.unwrap_or("latest")),
    };
    let mirror = mirror.trim_end_matches('/');
    let registry = mirror.split('/').next().unwrap_or_default();
    let moved: ImageReference = format!("{mirror}/{}{version}", image.repository()).parse().ok()?;
    (moved.registry() == registry).then_some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_move_to_mirrors_with_their_version() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (image, mirror, expected) in [
            ("debian:12", "mirror.example:5000", Some("mirror.example:5000/library/debian:12".to_owned())),
            ("r.example/a/b", "m.example/hub/", Some("m.example/hub/a/b:latest".to_owned())),
            (&format!("r.example/a@{digest}"), "127.0.0.1:80", Some(format!("127.0.0.1:80/a@{digest}"))),
            ("r.example/a", "no mirror", None),
        ] {
            let moved = moved(&image.parse().unwrap(), mirror);
            assert_eq!(moved.map(|one| one.to_string()), expected, "{image} {mirror}");
        }
    }
}
