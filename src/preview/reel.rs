//! A sample painted: scenes in time, each frame of which can be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Error;
use super::sample::{Layer, Sample};
use super::theme::Theme;
use crate::media::time::TICKS_PER_SECOND;
use crate::media::{MediaTime, Picture, Pool};
use crate::overlay::{Backdrop, Canvas, Ground, LayerSpec, Locale, PhaseSpec, Scene, Still};

/// A preview's scenes, ordered by when they begin, and what lies under them.
pub struct Reel {
    scenes: Vec<(MediaTime, Scene)>,
    under: Arc<Picture>,
    pool: Pool,
}

impl Reel {
    /// Paints every scene of a sample: one begins wherever a layer comes or goes.
    pub fn paint(
        theme: &Theme,
        sample: &Sample,
        canvas: Canvas,
        locale: Locale,
        backdrop: &Backdrop,
    ) -> Result<Reel, Error> {
        let changes = sample.layers.values().flat_map(|layer| [layer.enters_at, layer.exits_at]).flatten();
        let mut begins: Vec<MediaTime> = std::iter::once(LONG_BEFORE).chain(changes).map(moment).collect();
        begins.sort();
        begins.dedup();
        let mut scenes: Vec<(MediaTime, Scene)> = Vec::new();
        for (rev, from) in (1..).zip(begins) {
            let there = |layer: &Layer| {
                layer.enters_at.is_none_or(|at| moment(at) <= from) && layer.exits_at.is_none_or(|at| from < moment(at))
            };
            let layers = sample.layers.iter().filter(|(_, layer)| there(layer));
            let specs: Vec<LayerSpec> = layers.map(|(kind, layer)| spec(kind, layer)).collect();
            let scene = theme.paint(rev, &specs, canvas, locale)?;
            let before = scenes.last().map(|(_, before)| before);
            scenes.push((from, scene.following(before, from)));
        }
        Ok(Reel { scenes, under: backdrop.picture(canvas), pool: Pool::new(canvas.resolution) })
    }

    /// The frame of a moment, in seconds.
    pub fn frame(&self, at: f64) -> Result<Arc<Picture>, Error> {
        let at = moment(at);
        match self.scenes.iter().rev().find(|(from, _)| *from <= at) {
            Some((_, scene)) => Ok(scene.over(&self.under, at, Ground::Live, &self.pool)?),
            None => Ok(self.under.clone()),
        }
    }

    /// The same to look at.
    pub fn still(&self, at: f64) -> Result<Still, Error> {
        Ok(Still::of(&*self.frame(at)?))
    }
}

/// A layer with a phase from each of its moments to the next.
fn spec(kind: &str, layer: &Layer) -> LayerSpec {
    let ends = layer.ends_in.map(moment);
    let begins = ends.map(|ends| ends - RUN);
    let mut steps: BTreeMap<MediaTime, Map<String, Value>> = BTreeMap::from([(moment(LONG_BEFORE), Map::new())]);
    for (at, values) in &layer.then {
        steps.entry(moment(*at)).or_default().extend(values.clone());
    }
    let mut values = layer.values.clone();
    // Other kinds with digits say nothing of an end.
    if let Some(ends) = ends.filter(|_| kind == "countdown" || values.contains_key("ended")) {
        values.entry("ended").or_insert(Value::Bool(false));
        steps.entry(ends).or_default().insert("ended".to_owned(), Value::Bool(true));
    }
    let mut phases: Vec<PhaseSpec> = Vec::new();
    for (from, step) in steps {
        values.extend(step);
        if let Some(before) = phases.last_mut() {
            before.until = Some(from);
        }
        let (values, images) = (Value::Object(values.clone()), layer.images.clone());
        phases.push(PhaseSpec { from: Some(from), until: None, values, images, ends, begins });
    }
    let hits = vec![kind.to_owned()];
    LayerSpec { id: kind.to_owned(), template: kind.to_owned(), ground: None, z: 0, phases, hits }
}

/// The preview's zero lies an hour into a show, so that what was before has its moments too.
fn moment(seconds: f64) -> MediaTime {
    MediaTime::from_ticks(3600 * TICKS_PER_SECOND + (seconds * TICKS_PER_SECOND as f64).round() as i64)
}

/// How long a countdown ran in all, where a sample says only when it ends.
const RUN: Duration = Duration::from_secs(60);
/// What is there from the beginning came then, in seconds: long enough ago to have come to rest.
const LONG_BEFORE: f64 = -10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(values: Value) -> Layer {
        Layer { values: values.as_object().unwrap().clone(), ..Layer::default() }
    }

    #[test]
    fn a_countdown_turns_at_its_end_and_values_change_where_they_are_told_to() {
        let change = json!({"price": "$5"}).as_object().unwrap().clone();
        let layer = Layer { ends_in: Some(3.0), then: vec![(1.0, change)], ..layer(json!({"price": "$9"})) };
        let spec = spec("countdown", &layer);
        let phases: Vec<_> = spec
            .phases
            .iter()
            .map(|phase| (phase.until.map(|until| (until - Duration::from_secs(3600)).ticks()), &phase.values))
            .map(|(until, values)| (until, values["price"].as_str().unwrap(), values["ended"].as_bool().unwrap()))
            .collect();
        assert_eq!(phases, [(Some(90_000), "$9", false), (Some(270_000), "$5", false), (None, "$5", true)]);
        assert!(spec.phases.iter().all(|phase| phase.ends == Some(moment(3.0))));
    }
}
