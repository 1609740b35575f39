//! Recipes put together from their top-level fields, so that 100,000 points can be checked without
//! reading 100,000 recipes.

use serde_json::Value;

use super::Recipe;

impl Recipe {
    /// Takes the top-level field `name` from `other`. False if there is no such field.
    pub fn adopt(&mut self, name: &str, other: &Self) -> bool {
        // Without `..`: a new field must be added here before this compiles.
        let Self {
            dataset,
            model,
            image_size,
            epochs,
            batch_size,
            lr,
            dropout,
            init,
            freeze,
            augmentation,
            copies,
            fixed_copies,
            augment_on,
            optimizer,
            schedule,
            warmup,
            clip_norm,
            accumulate,
            ema,
            label_smoothing,
            precision,
            layout,
            tf32,
            checkpoint_steps,
            early_stop,
            data,
            seed,
        } = other;
        match name {
            "dataset" => self.dataset.clone_from(dataset),
            "model" => self.model.clone_from(model),
            "image_size" => self.image_size = *image_size,
            "epochs" => self.epochs = *epochs,
            "batch_size" => self.batch_size = *batch_size,
            "lr" => self.lr = *lr,
            "dropout" => self.dropout = *dropout,
            "init" => self.init.clone_from(init),
            "freeze" => self.freeze.clone_from(freeze),
            "augmentation" => self.augmentation.clone_from(augmentation),
            "copies" => self.copies.clone_from(copies),
            "fixed_copies" => self.fixed_copies = *fixed_copies,
            "augment_on" => self.augment_on = *augment_on,
            "optimizer" => self.optimizer.clone_from(optimizer),
            "schedule" => self.schedule.clone_from(schedule),
            "warmup" => self.warmup.clone_from(warmup),
            "clip_norm" => self.clip_norm = *clip_norm,
            "accumulate" => self.accumulate = *accumulate,
            "ema" => self.ema.clone_from(ema),
            "label_smoothing" => self.label_smoothing = *label_smoothing,
            "precision" => self.precision = *precision,
            "layout" => self.layout = *layout,
            "tf32" => self.tf32 = *tf32,
            "checkpoint_steps" => self.checkpoint_steps = *checkpoint_steps,
            "early_stop" => self.early_stop.clone_from(early_stop),
            "data" => self.data.clone_from(data),
            "seed" => self.seed = *seed,
            _ => return false,
        }
        true
    }

    /// The top-level field `name` as canonical JSON; null for one that is off, nothing if there is no
    /// such field.
    pub fn field(&self, name: &str) -> Option<Value> {
        let value = match name {
            "dataset" => serde_json::to_value(&self.dataset),
            "model" => serde_json::to_value(&self.model),
            "image_size" => serde_json::to_value(self.image_size),
            "epochs" => serde_json::to_value(self.epochs),
            "batch_size" => serde_json::to_value(self.batch_size),
            "lr" => serde_json::to_value(self.lr),
            "dropout" => serde_json::to_value(self.dropout),
            "init" => serde_json::to_value(&self.init),
            "freeze" => serde_json::to_value(&self.freeze),
            "augmentation" => serde_json::to_value(&self.augmentation),
            "copies" => serde_json::to_value(&self.copies),
            "fixed_copies" => serde_json::to_value(self.fixed_copies),
            "augment_on" => serde_json::to_value(self.augment_on),
            "optimizer" => serde_json::to_value(&self.optimizer),
            "schedule" => serde_json::to_value(&self.schedule),
            "warmup" => serde_json::to_value(&self.warmup),
            "clip_norm" => serde_json::to_value(self.clip_norm),
            "accumulate" => serde_json::to_value(self.accumulate),
            "ema" => serde_json::to_value(&self.ema),
            "label_smoothing" => serde_json::to_value(self.label_smoothing),
            "precision" => serde_json::to_value(self.precision),
            "layout" => serde_json::to_value(self.layout),
            "tf32" => serde_json::to_value(self.tf32),
            "checkpoint_steps" => serde_json::to_value(self.checkpoint_steps),
            "early_stop" => serde_json::to_value(&self.early_stop),
            "data" => serde_json::to_value(&self.data),
            "seed" => serde_json::to_value(self.seed),
            _ => return None,
        };
        Some(value.expect("the fields of a recipe are plain JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_can_be_adopted() {
        let other: Recipe = serde_json::from_str(
            r#"{"dataset":"y","model":"cifar-cnn","image_size":99,"epochs":3,"batch_size":5,"lr":0.5,
            "dropout":0.25,"init":{"weights":"a.safetensors"},"freeze":{"all_but_last":2},"augmentation":["flip"],"copies":[["flip"],[]],"fixed_copies":true,"augment_on":"device",
            "optimizer":"sgd","schedule":"cosine","warmup":{"epochs":2},
            "clip_norm":1.0,"accumulate":2,"ema":{"decay":0.9},"label_smoothing":0.1,"precision":"bf16","layout":"auto","tf32":false,"checkpoint_steps":7,
            "early_stop":{"patience":2},"data":{"skip_bad":3},"seed":4}"#,
        )
        .unwrap();
        let mut recipe: Recipe = serde_json::from_str(r#"{"dataset":"x"}"#).unwrap();
        let fields = serde_json::to_value(&other).unwrap();
        for name in fields.as_object().unwrap().keys() {
            let before = recipe.clone();
            assert!(recipe.adopt(name, &other), "{name}");
            assert_ne!(recipe, before, "{name}");
            assert_eq!(recipe.field(name).as_ref(), fields.get(name), "{name}");
        }
        assert_eq!(recipe, other);
        assert!(!recipe.adopt("nothing", &other));
    }
}
