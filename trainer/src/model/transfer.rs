//! Starting from other weights, and leaving some of them alone.

use std::collections::BTreeSet;

use sweep_core::recipe::Freeze;
use tch::Tensor;

use super::{Misfit, Model, Named, Role, check_shape};

/// The layer that a tensor belongs to.
fn layer(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(layer, _)| layer)
}

impl Model {
    /// Takes over every tensor that `find` has. The class layer may be of another size or missing: it
    /// keeps its drawn weights then, and its name is returned. `num_batches_tracked` stays 0.
    pub fn start_from<'a>(&mut self, find: impl Fn(&str) -> Option<&'a Tensor>) -> Result<Option<String>, Misfit> {
        let _guard = tch::no_grad_guard();
        let fit = |named: &Named| match find(&named.name) {
            Some(found) => check_shape(&named.name, &named.tensor, found).map(|()| found),
            None => Err(Misfit::Missing(named.name.clone())),
        };
        let class_layer = self.weights().last().map(|named| layer(&named.name).to_owned());
        let in_it = |named: &Named| class_layer.as_deref() == Some(layer(&named.name));
        let drawn = self.tensors.iter().any(|named| in_it(named) && fit(named).is_err());
        for named in &self.tensors {
            if named.role != Role::Batches && !(drawn && in_it(named)) {
                named.tensor.shallow_clone().copy_(fit(named)?);
            }
        }
        Ok(class_layer.filter(|_| drawn))
    }

    /// Leaves the weights alone that `freeze` names: they get no gradients and no steps, and a norm
    /// whose weight is frozen uses its running statistics in training too, and keeps them.
    pub fn freeze(&mut self, freeze: &Freeze) -> Result<(), Misfit> {
        let mut frozen: BTreeSet<String> = BTreeSet::new();
        if freeze.all_but_last > 0 {
            // Convolutions and linear layers are what has weights of two and more dimensions.
            let big = |at: &usize| self.tensors[*at].role == Role::Weight && self.tensors[*at].tensor.dim() > 1;
            let starts: Vec<usize> = (0..self.tensors.len()).filter(big).collect();
            let first = starts.len().saturating_sub(freeze.all_but_last as usize);
            let before = if first == 0 { 0 } else { starts[first] };
            frozen.extend(self.tensors[..before].iter().map(|named| named.name.clone()));
        }
        for pattern in freeze.patterns() {
            let met: Vec<_> = (self.weights())
                .filter(|named| matches(pattern, &named.name))
                .map(|named| named.name.clone())
                .collect();
            if met.is_empty() {
                return Err(Misfit::NothingFrozen(pattern.to_owned()));
            }
            frozen.extend(met);
        }
        let still: BTreeSet<String> =
            frozen.iter().filter(|name| name.ends_with(".weight")).map(|name| layer(name).to_owned()).collect();
        for named in &mut self.tensors {
            match named.role {
                Role::Weight if frozen.contains(&named.name) => {
                    named.role = Role::Frozen;
                    let _ = named.tensor.set_requires_grad(false);
                }
                Role::Batches if still.contains(layer(&named.name)) => named.role = Role::Still,
                _ => {}
            }
        }
        if self.weights().next().is_none() { Err(Misfit::AllFrozen) } else { Ok(()) }
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(after) = text.strip_prefix(start) else { return false };
            (0..=after.len()).any(|skip| after.is_char_boundary(skip) && matches(rest, &after[skip..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("fc.weight", "fc.weight", true),
            ("fc", "fc.weight", false),
            ("fc*", "fc.weight", true),
            ("*", "", true),
            ("layer*.bn*.weight", "layer4.1.bn2.weight", true),
            ("layer*.bn*.weight", "layer4.1.bn2.bias", false),
            ("*.bias", "conv1.weight", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
