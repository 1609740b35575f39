//! Where numbers come from: what a trainer says of itself when it starts, and what a sweep remembers of that. For people
//! and papers; never decided from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::attempt::Started;

/// What trained an attempt, and on what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Name and version of the trainer.
    pub build: String,
    /// What computes in it, e.g. `libtorch 2.11.0+cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The processor or accelerator it computes on, and its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Trainable parameters of the network; 0 if it does not say.
    pub parameters: u64,
    /// Images to train on, copies not counted.
    pub train_images: u64,
    /// Images to validate on.
    pub val_images: u64,
    /// Number of classes.
    pub classes: u32,
    /// Digest of the decoded images and their labels.
    pub data: String,
}

impl From<Started> for Origin {
    fn from(started: Started) -> Self {
        let Started { build, engine, hardware, train_images, val_images, classes, parameters, data, .. } = started;
        Self { build, engine, hardware, parameters, train_images, val_images, classes, data }
    }
}

impl Origin {
    /// `sweep-trainer 0.5.0, libtorch 2.11.0+cpu`.
    pub fn program(&self) -> String {
        let engine = self.engine.iter().map(|engine| format!(", {engine}"));
        std::iter::once(self.build.clone()).chain(engine).collect()
    }

    /// `1500 images to train on, 500 to validate on, 10 classes`; nothing if it does not say.
    pub fn images(&self) -> Option<String> {
        let Self { train_images, val_images, classes, .. } = self;
        (*classes > 0)
            .then(|| format!("{train_images} images to train on, {val_images} to validate on, {classes} classes"))
    }
}

/// What the trainers of a sweep have said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    /// Programs that trained.
    pub programs: BTreeSet<String>,
    /// What they computed on.
    pub hardware: BTreeSet<String>,
    /// Images and classes, with the digest of the decoded images.
    pub images: BTreeSet<(String, String)>,
    /// Trainable parameters by point.
    pub parameters: BTreeMap<u32, u64>,
}

impl Origins {
    /// Whether a trainer of `point` says something that is not known: only that is written down.
    pub fn is_news(&self, point: u32, origin: &Origin) -> bool {
        let mut said = Self::default();
        said.note(point, origin);
        !(said.programs.is_subset(&self.programs)
            && said.hardware.is_subset(&self.hardware)
            && said.images.is_subset(&self.images)
            && said.parameters.keys().all(|point| self.parameters.contains_key(point)))
    }

    /// A point has a result that others trained, with so many parameters.
    pub(crate) fn take_over(&mut self, others: &Self, point: u32, parameters: Option<u64>) {
        self.programs.extend(others.programs.iter().cloned());
        self.hardware.extend(others.hardware.iter().cloned());
        self.images.extend(others.images.iter().cloned());
        if let Some(parameters) = parameters {
            self.parameters.entry(point).or_insert(parameters);
        }
    }

    /// A trainer of `point` said this.
    pub fn note(&mut self, point: u32, origin: &Origin) {
        self.programs.insert(origin.program());
        self.hardware.extend(origin.hardware.clone());
        self.images.extend(origin.images().map(|images| (images, origin.data.clone())));
        if origin.parameters > 0 {
            self.parameters.entry(point).or_insert(origin.parameters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_news() {
        let build = "sweep-trainer 1".to_owned();
        let first = Origin { build, parameters: 10, classes: 2, data: "ab".into(), ..Origin::default() };
        let mut known = Origins::default();
        assert!(known.is_news(0, &first));
        known.note(0, &first);
        assert!(!known.is_news(0, &first));
        assert!(known.is_news(1, &first), "the parameters of another point");
        for other in [
            Origin { build: "sweep-trainer 2".into(), ..first.clone() },
            Origin { engine: Some("libtorch 2".into()), ..first.clone() },
            Origin { hardware: Some("H200, driver 570".into()), ..first.clone() },
            Origin { data: "cd".into(), ..first.clone() },
        ] {
            assert!(known.is_news(0, &other), "{other:?}");
        }
        // A pretend trainer says nothing of networks and images.
        assert!(!known.is_news(1, &Origin { parameters: 0, classes: 0, ..first.clone() }));
        assert_eq!(first.images().as_deref(), Some("0 images to train on, 0 to validate on, 2 classes"));
    }
}
