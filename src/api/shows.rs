//! Shows: how they are set up, and how they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::{Body, nullable};
use super::stage::{OnStage, on_stage};
use super::warnings::{self, Warning};
use super::{Api, Problem, show_id};
use crate::commerce::line::Title;
use crate::overlay::Locale;
use crate::show::pipeline::Health;
use crate::show::registry::{APP, Wanted};
use crate::show::{
    self, Canvas, Changes, Fit, Handle, Role, ShowId, Shows, SourceUrl, StreamKey, ThemeName, WantedCanvas,
};

/// A show as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowPut {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// What OBS is given as stream key. Kept when absent; a new show without one gets a random one, which this answer shows.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    stream_key: Option<StreamKey>,
    /// An `rtsp://` address to pull the show from; none when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    source: Option<SourceUrl>,
    /// A second stream key, for an encoder that takes over when the main source is silent. Kept when absent; null takes it
    /// away.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    backup_stream_key: Option<Option<StreamKey>>,
    /// An `rtsp://` address that takes over when the main source is silent; none when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    backup_source: Option<SourceUrl>,
    /// Kept when absent, 1280×720 at 30 for a new show; size and rate are fixed once the show is made, `fit` is kept when absent.
    #[serde(default)]
    #[schema(value_type = Option<CanvasBody>)]
    canvas: Option<WantedCanvas>,
    /// A BCP 47 tag such as `vi`, `pt-BR` or `zh-Hant`: words, numbers and characters of the picture. Kept when absent, `en` for a
    /// new show.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    /// What dresses its layers. Kept when absent, `boutique` for a new show.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    theme: Option<ThemeName>,
}

/// What to change of a show; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowPatch {
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    title: Option<Title>,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    stream_key: Option<StreamKey>,
    /// An `rtsp://` address to pull the show from; null takes it away.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    source: Option<Option<SourceUrl>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    backup_stream_key: Option<Option<StreamKey>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    backup_source: Option<Option<SourceUrl>>,
    #[serde(default)]
    fit: Option<Fit>,
    /// A BCP 47 tag such as `vi`, `pt-BR` or `zh-Hant`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    theme: Option<ThemeName>,
}

/// Which source is to be on the picture.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InputPut {
    #[serde(rename = "use")]
    role: Role,
}

/// The size and rate that viewers get, whatever comes in.
#[derive(ToSchema)]
#[schema(as = Canvas)]
#[expect(dead_code, reason = "describes show::Canvas to OpenAPI")]
pub(super) struct CanvasBody {
    /// Even.
    #[schema(minimum = 128, maximum = 3840)]
    width: u32,
    /// Even.
    #[schema(minimum = 128, maximum = 3840)]
    height: u32,
    /// Frames a second.
    #[schema(minimum = 1, maximum = 60)]
    fps: u32,
    #[schema(required = false)]
    fit: Fit,
}

/// A show as it is. Its stream key is not told here: see `/shows/{show}/key`.
#[derive(Serialize, ToSchema)]
pub(super) struct Show {
    id: String,
    #[schema(value_type = String)]
    title: Title,
    /// Whether somebody publishes now.
    on_air: bool,
    viewers: usize,
    /// Grows with every change that the picture may show or that touches a price.
    rev: u64,
    /// Where it is pulled from, without credentials.
    source: Option<String>,
    /// Whether an encoder may take over with a second stream key.
    backup_stream_key: bool,
    /// Where the backup is pulled from, without credentials.
    backup_source: Option<String>,
    #[schema(value_type = CanvasBody)]
    canvas: Canvas,
    #[schema(value_type = String)]
    locale: Locale,
    #[schema(value_type = String)]
    theme: ThemeName,
    stage: OnStage,
    /// Where its viewers go.
    viewer: String,
    whep: String,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_key: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct List {
    shows: Vec<Show>,
}

/// What OBS and its like need to publish.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// The application in `rtmp://HOST/live`.
    app: &'static str,
    stream_key: String,
    /// The key of the backup encoder, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_stream_key: Option<String>,
}

/// How a show is: what comes in, what goes out.
#[derive(Serialize, ToSchema)]
pub(super) struct ShowHealth {
    rev: u64,
    /// How the pull of its source goes; absent without a source, and while a publisher has taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull: Option<String>,
    /// How the pull of its backup source goes; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_pull: Option<String>,
    /// What the texts on its picture lack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    #[serde(flatten)]
    media: Health,
}

impl Show {
    fn of(show: &Handle) -> Show {
        let (id, state) = (show.id(), show.state());
        Show {
            id: id.to_string(),
            title: state.title.clone(),
            on_air: show.on_air(),
            viewers: show.feed().viewers(),
            rev: state.rev,
            source: state.source.as_ref().map(ToString::to_string),
            backup_stream_key: state.backup.stream_key.is_some(),
            backup_source: state.backup.source.as_ref().map(ToString::to_string),
            canvas: state.canvas,
            locale: state.locale,
            theme: state.theme.clone(),
            stage: on_stage(&state, show.wall()),
            viewer: format!("/s/{id}"),
            whep: format!("/s/{id}/whep"),
            stream_key: None,
        }
    }
}

/// Every show, by id.
#[utoipa::path(get, path = "/shows", tag = "shows", security(("bearer" = [])), responses(
    (status = 200, body = List),
    (status = 401, body = super::problem::Body, content_type = "application/problem+json"),
))]
pub(super) async fn list(_: Operator, State(api): State<Arc<Api>>) -> Json<List> {
    Json(List { shows: api.shows.list().iter().map(Show::of).collect() })
}

/// Makes a show, or sets it up anew. Its products and its stage stay.
#[utoipa::path(put, path = "/shows/{show}", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path, description = "1 to 64 of a-z, 0-9 and -")),
    request_body = ShowPut,
    responses(
        (status = 201, body = Show, description = "Made. `stream_key` is told here, and by `/shows/{show}/key` from now on."),
        (status = 200, body = Show, description = "Set up anew"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    Body(body): Body<ShowPut>,
) -> Result<(StatusCode, Json<Show>), Problem> {
    let ShowPut { title, stream_key, source, backup_stream_key, backup_source, canvas, locale, theme } = body;
    let (title, source, backup_source) = (Some(title), Some(source), Some(backup_source));
    let wanted = Wanted { title, stream_key, source, backup_stream_key, backup_source, canvas, locale, theme };
    let put = whole(api.shows.clone(), show_id(&show)?, |shows, id| async move { shows.put(id, wanted).await }).await?;
    let mut answer = Show::of(&put.show);
    if !put.created {
        return Ok((StatusCode::OK, Json(answer)));
    }
    answer.stream_key = Some(put.show.state().stream_key.reveal().to_owned());
    Ok((StatusCode::CREATED, Json(answer)))
}

/// A show as it is.
#[utoipa::path(get, path = "/shows/{show}", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Show),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Json<Show>, Problem> {
    Ok(Json(Show::of(&api.show(&show)?)))
}

/// Changes some of a show's settings.
#[utoipa::path(patch, path = "/shows/{show}", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path)),
    request_body = ShowPatch,
    responses(
        (status = 200, body = Show),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn patch(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    Body(body): Body<ShowPatch>,
) -> Result<Json<Show>, Problem> {
    // A show that is not there is not made by a patch.
    let ShowPatch { title, stream_key, source, backup_stream_key, backup_source, fit, locale, theme } = body;
    let changes = Changes { title, stream_key, source, backup_stream_key, backup_source, fit, locale, theme };
    let changed = api.shows.change(&show_id(&show)?, changes).await?;
    Ok(Json(Show::of(&changed)))
}

/// Ends a show for good. Viewers lose it, and its link.
#[utoipa::path(delete, path = "/shows/{show}", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 204),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<StatusCode, Problem> {
    whole(api.shows.clone(), show_id(&show)?, |shows, id| async move { shows.delete(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Carries out to its end what makes or ends a show, even when whoever asked hangs up in between: half of it would leave a show
/// that is in the log and does not run, or the other way round.
async fn whole<T, F>(
    shows: Arc<Shows>,
    id: ShowId,
    work: impl FnOnce(Arc<Shows>, ShowId) -> F,
) -> Result<T, show::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, show::Error>> + Send + 'static,
{
    tokio::spawn(work(shows, id)).await.unwrap_or(Err(show::Error::Stopping))
}

/// The stream key, for whoever sets up OBS. Every other answer leaves it out.
#[utoipa::path(get, path = "/shows/{show}/key", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Key),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn key(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Json<Key>, Problem> {
    let state = api.show(&show)?.state();
    let backup_stream_key = state.backup.stream_key.as_ref().map(|key| key.reveal().to_owned());
    Ok(Json(Key { app: APP, stream_key: state.stream_key.reveal().to_owned(), backup_stream_key }))
}

/// Puts the main or the backup source on the picture: it has it from its next frame on, viewers stay. The backup takes over by
/// itself when the main source is silent for a second; this gives the picture back.
#[utoipa::path(put, path = "/shows/{show}/input", tag = "shows", security(("bearer" = [])),
    params(("show" = String, Path)),
    request_body = InputPut,
    responses(
        (status = 204),
        (status = 409, body = super::problem::Body, content_type = "application/problem+json",
            description = "Nothing comes from there"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_input(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    Body(InputPut { role }): Body<InputPut>,
) -> Result<StatusCode, Problem> {
    if api.show(&show)?.give(role) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = format!("nothing comes from the {role} source now: start its encoder first");
    Err(Problem::new(StatusCode::CONFLICT, "source-silent", detail))
}

/// What comes in, what goes out.
#[utoipa::path(get, path = "/shows/{show}/health", tag = "operation", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = ShowHealth),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn health(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Json<ShowHealth>, Problem> {
    let show = api.show(&show)?;
    let state = show.state();
    Ok(Json(ShowHealth {
        rev: state.rev,
        warnings: warnings::of_stage(&api, &state).await,
        pull: show.pull().map(|pull| pull.to_string()),
        backup_pull: show.backup_pull().map(|pull| pull.to_string()),
        media: show.health(),
    }))
}
