//! What operations share, as components that they refer to: parameters, headers and one answer for each error status.
//! Always holds: each stands in the document once, so that a client generated from it has one type for each.
//! Absent: which operation refers to which (`every_operation`).

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Components, Ref, RefOr, Required, Response};

use crate::http::problem::PROBLEM_JSON;

/// A header parameter that several operations read.
#[derive(Debug, Clone, Copy)]
pub(super) enum SharedParameter {
    Namespace,
    RequestId,
    IdempotencyKey,
    IfMatch,
}

/// An error answer that several operations give: its name, its status, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SharedAnswer {
    pub name: &'static str,
    pub status: &'static str,
    description: &'static str,
    /// A header beside those of every answer.
    header: Option<&'static str>,
}

const fn answer(
    name: &'static str,
    status: &'static str,
    description: &'static str,
) -> SharedAnswer {
    SharedAnswer { name, status, description, header: None }
}

pub(super) const MALFORMED: SharedAnswer =
    answer("Malformed", "400", "The body is not JSON, or the request does not say one host.");
pub(super) const CROSS_SITE: SharedAnswer =
    answer("CrossSite", "403", "A browser sent it on behalf of another site.");
pub(super) const NOT_FOUND: SharedAnswer =
    answer("NotFound", "404", "There is no such thing in this namespace.");
pub(super) const METHOD_NOT_ALLOWED: SharedAnswer = SharedAnswer {
    name: "MethodNotAllowed",
    status: "405",
    description: "The path is served, with other methods.",
    header: Some("Allow"),
};
pub(super) const BODY_TOO_SLOW: SharedAnswer =
    answer("BodyTooSlow", "408", "The body stopped coming, or came too slowly.");
pub(super) const CONFLICT: SharedAnswer =
    answer("Conflict", "409", "The state of the thing does not allow this.");
pub(super) const GONE: SharedAnswer =
    answer("Gone", "410", "The job was over, and retention has deleted it.");
pub(super) const PRECONDITION_FAILED: SharedAnswer =
    answer("PreconditionFailed", "412", "If-Match names another version.");
pub(super) const BODY_TOO_LARGE: SharedAnswer =
    answer("BodyTooLarge", "413", "The body is larger than this engine takes.");
pub(super) const UNSUPPORTED_MEDIA_TYPE: SharedAnswer = answer(
    "UnsupportedMediaType",
    "415",
    "The body is not declared as application/json, or is encoded in a way that this engine does not read.",
);
pub(super) const HOST_NOT_SERVED: SharedAnswer =
    answer("HostNotServed", "421", "The request names a host that is not one of the engine's.");
pub(super) const INVALID: SharedAnswer = answer(
    "Invalid",
    "422",
    "The request is well formed and not valid; `errors` says where and what is allowed.",
);
pub(super) const TOO_MANY: SharedAnswer = SharedAnswer {
    name: "TooMany",
    status: "429",
    description: "As many of these are there, or wait, as may.",
    header: Some("Retry-After"),
};
pub(super) const INTERNAL_ERROR: SharedAnswer = answer(
    "InternalError",
    "500",
    "A mistake of the engine; the log has the details under the request id.",
);
pub(super) const UNAVAILABLE: SharedAnswer = SharedAnswer {
    name: "Unavailable",
    status: "503",
    description: "Not now: overloaded, stopping, or the store does not answer.",
    header: Some("Retry-After"),
};
pub(super) const STORAGE_FULL: SharedAnswer =
    answer("StorageFull", "507", "The storage is too full for new work.");

/// All of them, in the order of their status.
const ANSWERS: [SharedAnswer; 16] = [
    MALFORMED,
    CROSS_SITE,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    BODY_TOO_SLOW,
    CONFLICT,
    GONE,
    PRECONDITION_FAILED,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    HOST_NOT_SERVED,
    INVALID,
    TOO_MANY,
    INTERNAL_ERROR,
    UNAVAILABLE,
    STORAGE_FULL,
];

/// Headers of answers, each with what it says.
const HEADERS: [(&str, &str); 7] = [
    ("X-Request-Id", "The id of the request, for reports of problems."),
    ("Orrery-Engine", "The number of the engine that answered."),
    ("Retry-After", "Seconds after which it is worth asking again."),
    ("ETag", "The version of what is answered, as a strong entity tag."),
    ("Location", "Where the new resource is."),
    ("Link", "rel=next leads to the next page."),
    ("Allow", "The methods of this path."),
];

/// Puts all of them into the document.
pub(super) fn define(components: &mut Components) {
    for parameter in [
        SharedParameter::Namespace,
        SharedParameter::RequestId,
        SharedParameter::IdempotencyKey,
        SharedParameter::IfMatch,
    ] {
        components.parameters.insert(parameter.name().to_owned(), RefOr::T(parameter.definition()));
    }
    for shared in ANSWERS {
        components.responses.insert(shared.name.to_owned(), RefOr::T(shared.definition()));
    }
    for (name, description) in HEADERS {
        components.headers.insert(name.to_owned(), RefOr::T(header(description)));
    }
}

/// A reference to a shared header; none where a header of that name is not shared.
pub(super) fn header_reference(name: &str) -> Option<RefOr<Header>> {
    HEADERS
        .iter()
        .any(|(known, _)| *known == name)
        .then(|| RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))
}

/// A reference to a shared parameter.
pub(super) fn parameter_reference(name: &str) -> RefOr<Parameter> {
    RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")))
}

impl SharedParameter {
    fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::RequestId => "RequestId",
            Self::IdempotencyKey => "IdempotencyKey",
            Self::IfMatch => "IfMatch",
        }
    }

    /// What an operation says in its place.
    pub(super) fn reference(self) -> RefOr<Parameter> {
        parameter_reference(self.name())
    }

    fn definition(self) -> Parameter {
        let (header, description, schema) = match self {
            Self::Namespace => (
                "Orrery-Namespace",
                "Whose things are meant; `default` when absent.",
                text().pattern(Some("^[A-Za-z0-9_.-]{1,64}$")),
            ),
            Self::RequestId => (
                "X-Request-Id",
                "Names the request in logs and history; replaced unless it is 1-128 visible ASCII characters; always \
                 in the answer.",
                text(),
            ),
            Self::IdempotencyKey => (
                "Idempotency-Key",
                "Makes a request that is sent twice count once: the same key and body give the first answer again.",
                text().pattern(Some("^[!-~]{1,255}$")),
            ),
            Self::IfMatch => (
                "If-Match",
                "The ETag the change is based on, or `*`; 412 when it has changed since. A weak tag (`W/\"17\"`) never \
                 matches here.",
                text(),
            ),
        };
        ParameterBuilder::new()
            .name(header)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(RefOr::T(Schema::Object(schema.build()))))
            .build()
    }
}

impl SharedAnswer {
    /// What an operation says in its place.
    pub(super) fn reference(self) -> RefOr<Response> {
        RefOr::Ref(Ref::from_response_name(self.name))
    }

    fn definition(self) -> Response {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let mut response = ResponseBuilder::new()
            .description(self.description)
            .content(PROBLEM_JSON, content)
            .build();
        let names = ["X-Request-Id", "Orrery-Engine"].into_iter().chain(self.header);
        let headers = names.filter_map(|name| Some((name.to_owned(), header_reference(name)?)));
        response.headers.extend(headers);
        response
    }
}

fn header(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(RefOr::T(Schema::Object(text().build()))))
        .description(Some(description))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
