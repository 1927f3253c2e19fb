//! HTTP-FLV as a player sees it: media comes. Servers answer 200 for streams that nobody sends, and say no more.

use http_body_util::BodyExt;

use super::Probe;
use super::conversation::{Origin, Question, words};
use super::ended::Ended;
use super::tags::Tags;
use crate::health::check::HttpVersion;
use crate::health::note::Note;
use crate::health::resource::Flv;

const LAYER: &str = "media";

/// Plays until enough has come.
pub(super) async fn play(probe: &Probe<'_>, flv: &Flv, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let origin = Origin::of(probe, flv.at.host.as_deref(), HttpVersion::One)?;
    let mut conversation = origin.open(&probe.limit, notes).await?;
    let question = Question { headers: &flv.at.headers, ..Question::get(&flv.at.path) };
    let response = conversation.ask(question, &probe.limit).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Ended::at("status", format!("status {}", status.as_u16())));
    }
    let (mut body, mut tags) = (response.into_body(), Tags::new());
    while tags.media() < flv.tags {
        let missing = |when: &str| {
            let came = match (tags.began(), tags.media()) {
                ((false, _), _) => format!("status {}, and not one octet", status.as_u16()),
                ((_, false), _) => "no whole FLV header".to_owned(),
                (_, 0) => "an FLV header, and neither audio nor video".to_owned(),
                (_, some) => format!("{some} of {} tags of audio or video", flv.tags),
            };
            Ended::at(LAYER, format!("{came} {when}"))
        };
        let frame = match probe.limit.wait(body.frame()).await {
            None => return Err(missing(&probe.limit.told())),
            Some(None) => return Err(missing("before the stream ended")),
            Some(Some(frame)) => frame.map_err(|error| words(LAYER, &error))?,
        };
        if let Some(octets) = frame.data_ref() {
            tags.push(octets).map_err(|what| Ended::at(LAYER, what))?;
        }
    }
    Ok(())
}
