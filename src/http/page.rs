//! Lists: which page is asked for and what every list says about itself. Always holds: a page has at most its
//! bound, `page` times `page_size` at most 10,000 (beyond it the cursor leads on), and a cursor that was not given
//! here is refused. Absent: what is listed and how it is found.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use domain::ids::Millis;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::query::Query;
use super::problem::Problem;
use super::routes::json;
use super::schemas::time;

/// Items of a page when none are asked for.
const PAGE_SIZE_USUAL: u32 = 50;
/// Items of a page.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Rows of a page of history.
pub const HISTORY_PAGE_SIZE_MAX: u32 = 1_000;
/// How deep pages go: skipping costs what is skipped; a cursor costs nothing.
pub const PAGED_ITEMS_MAX: u32 = 10_000;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1; with a cursor it only numbers the answer.
    pub page: u32,
    /// 1 to the list's bound.
    pub page_size: u32,
    /// Where an earlier page ended.
    pub after: Option<Cursor>,
}

/// The parameters of every list, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
    /// Counted from 1.
    #[param(minimum = 1, default = 1, nullable = false)]
    pub page: Option<u32>,
    /// Items of a page; page * page_size goes to 10,000, the cursor goes on.
    #[param(minimum = 1, maximum = 100, default = 50, nullable = false)]
    pub page_size: Option<u32>,
    /// The next_cursor of an earlier page of the same list and order.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}

/// Where a page ended. Opaque to callers; `kind` keeps cursors of one order out of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which list in which order, as one ASCII letter.
    pub kind: char,
    /// The sort value, or the position, of the last item.
    pub value: i64,
    /// The last item's id; nil where the value says it all.
    pub id: Uuid,
}

/// Which part of a list in the order of names is asked for: a cursor is the name it goes on behind, so that a page costs
/// the same however deep it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRequest {
    page: u32,
    page_size: u32,
    kind: char,
    after: Option<String>,
}

impl NamedRequest {
    /// Items to pass over before the page.
    pub fn skipped(&self) -> usize {
        if self.after.is_some() { 0 } else { (self.page as usize - 1) * self.page_size as usize }
    }

    /// The name behind which the list goes on.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Items to be found: those that are passed over, the page, and one that says whether there is more.
    pub fn wanted(&self) -> usize {
        self.skipped().saturating_add(self.page_size as usize).saturating_add(1)
    }

    /// The page of what was found, and what the list says about itself.
    pub fn cut<T, N: std::fmt::Display>(
        &self,
        found: Vec<T>,
        name: impl Fn(&T) -> N,
        total: TotalCount,
        as_of: Millis,
    ) -> (Vec<T>, PageInfo) {
        let has_next = found.len() >= self.wanted();
        let page = found.into_iter().skip(self.skipped()).take(self.page_size as usize);
        let page: Vec<T> = page.collect();
        let next = page
            .last()
            .filter(|_| has_next)
            .map(|last| named_text(self.kind, &name(last).to_string()));
        let of_page = PageRequest { page: self.page, page_size: self.page_size, after: None };
        let mut info = of_page.info(total, None, as_of);
        info.has_next = next.is_some();
        info.next_cursor = next;
        info.cursor = self.after.as_deref().map(|name| named_text(self.kind, name));
        (page, info)
    }
}

/// A cursor behind a name.
fn named_text(kind: char, name: &str) -> String {
    let mut body = format!("{kind}n");
    for byte in name.bytes() {
        // A text takes all that is written to it.
        let _ = write!(body, "{byte:02x}");
    }
    format!("{body}.{:08x}", checksum(&body))
}

/// Reads what `named_text` wrote of this kind.
fn named_of(kind: char, text: &str) -> Option<String> {
    let (body, _) = text.rsplit_once('.')?;
    let hex = body.strip_prefix(kind)?.strip_prefix('n')?;
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok().filter(|name| named_text(kind, name) == text)
}

/// Reads and finishes the query of a list in the order of names that takes nothing but its page.
pub fn only_named(mut query: Query, kind: char) -> Result<NamedRequest, Problem> {
    let cursor = "a next_cursor of the same list and order";
    let page = query.number("page", &(1..=u32::MAX)).unwrap_or(1);
    let page_size = query.number("page_size", &(1..=PAGE_SIZE_MAX)).unwrap_or(PAGE_SIZE_USUAL);
    let after = query.one("cursor", cursor, |text| named_of(kind, text));
    if after.is_none() {
        refuse_deep(&mut query, page, page_size);
    }
    query.finish().map(|()| NamedRequest { page, page_size, kind, after })
}

fn refuse_deep(query: &mut Query, page: u32, page_size: u32) {
    if u64::from(page) * u64::from(page_size) > u64::from(PAGED_ITEMS_MAX) {
        let message =
            format!("page * page_size must be at most {PAGED_ITEMS_MAX}; go on with cursor");
        query.refuse("page", "out_of_range", message);
    }
}

/// What every list says about itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PageInfo {
    /// Counted from 1.
    #[schema(minimum = 1)]
    pub page: u32,
    /// How many items a full page has.
    #[schema(minimum = 1)]
    pub page_size: u32,
    /// Whether there is more.
    pub has_next: bool,
    /// How many items there are in all, when there are at most 10,000.
    pub total_count: Option<u64>,
    /// Else: at least so many.
    pub total_count_at_least: Option<u64>,
    /// The cursor this page was asked with.
    pub cursor: Option<String>,
    /// Leads to the next page, however deep.
    pub next_cursor: Option<String>,
    /// When what is shown was so.
    #[schema(format = "date-time")]
    pub as_of: String,
}

impl Cursor {
    /// A cursor that is only a position.
    pub fn position(kind: char, value: i64) -> Self {
        Self { kind, value, id: Uuid::nil() }
    }

    /// The text for the caller.
    pub fn text(&self) -> String {
        let body = format!("{}{:x}.{}", self.kind, self.value, self.id.simple());
        format!("{body}.{:08x}", checksum(&body))
    }

    /// Reads what `text` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (body, sum) = text.rsplit_once('.')?;
        let (head, id) = body.split_once('.')?;
        let mut letters = head.chars();
        let kind = letters.next()?;
        let value = u64::from_str_radix(letters.as_str(), 16).ok()?.cast_signed();
        let cursor = Self { kind, value, id: Uuid::try_parse(id).ok()? };
        (cursor.text() == text && format!("{:08x}", checksum(body)) == sum).then_some(cursor)
    }
}

/// FNV-1a: it tells a cursor that was cut or changed, and is no secret.
fn checksum(text: &str) -> u32 {
    text.bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl PageRequest {
    /// Takes `page`, `page_size` and `cursor`; a cursor must be of this `kind`.
    pub fn take(query: &mut Query, kind: char, page_size_max: u32) -> Self {
        let page = query.number("page", &(1..=u32::MAX)).unwrap_or(1);
        let page_size = query.number("page_size", &(1..=page_size_max)).unwrap_or(PAGE_SIZE_USUAL);
        let after = query.one("cursor", "a next_cursor of the same list and order", |text| {
            Cursor::parse(text).filter(|cursor| cursor.kind == kind)
        });
        if after.is_none() {
            refuse_deep(query, page, page_size);
        }
        Self { page, page_size, after }
    }

    /// Items to pass over in a list whose cursor is a position.
    pub fn skipped(&self) -> usize {
        match self.after {
            Some(cursor) => usize::try_from(cursor.value).unwrap_or(usize::MAX),
            None => (self.page as usize - 1) * self.page_size as usize,
        }
    }

    /// What the list says about itself. `next` is where the following page starts.
    pub fn info(&self, total: TotalCount, next: Option<Cursor>, as_of: Millis) -> PageInfo {
        let (total_count, total_count_at_least) = match total {
            TotalCount::Exact(count) => (Some(count), None),
            TotalCount::AtLeast(count) => (None, Some(count)),
        };
        PageInfo {
            page: self.page,
            page_size: self.page_size,
            has_next: next.is_some(),
            total_count,
            total_count_at_least,
            cursor: self.after.map(|cursor| cursor.text()),
            next_cursor: next.map(|cursor| cursor.text()),
            as_of: time::format(as_of),
        }
    }

    /// What a list of so many items says about itself, where a cursor is a position.
    pub fn positioned(&self, kind: char, total: u64, as_of: Millis) -> PageInfo {
        let end = (self.skipped() as u64).saturating_add(u64::from(self.page_size));
        let next =
            (end < total).then(|| Cursor::position(kind, i64::try_from(end).unwrap_or(i64::MAX)));
        self.info(TotalCount::of(total), next, as_of)
    }

    /// One page of a list that is in memory as a whole.
    pub fn cut<T>(&self, kind: char, items: Vec<T>, as_of: Millis) -> (Vec<T>, PageInfo) {
        let info = self.positioned(kind, items.len() as u64, as_of);
        let skipped = self.skipped();
        let page = items.into_iter().skip(skipped).take(self.page_size as usize).collect();
        (page, info)
    }
}

/// How many there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotalCount {
    /// Exactly so many.
    Exact(u64),
    /// More than were counted.
    AtLeast(u64),
}

impl TotalCount {
    /// A count as lists say it: exact as far as lists count.
    pub fn of(count: u64) -> Self {
        let counted = u64::from(PAGED_ITEMS_MAX);
        if count > counted { Self::AtLeast(counted) } else { Self::Exact(count) }
    }
}

/// The answer with a page of a list.
pub fn listed(uri: &Uri, answer: &impl Serialize, info: &PageInfo) -> Response {
    let mut response = json(StatusCode::OK, answer);
    link_next(&mut response, uri, info);
    response
}

/// Adds `Link: <...>; rel="next"` when there is a next page.
fn link_next(response: &mut Response, uri: &Uri, info: &PageInfo) {
    let Some(next) = &info.next_cursor else { return };
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && name != "cursor" && name != "page"
    });
    let page = info.page.saturating_add(1);
    let query: Vec<String> =
        kept.map(str::to_owned).chain([format!("cursor={next}&page={page}")]).collect();
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"));
    if let Ok(link) = HeaderValue::try_from(link) {
        response.headers_mut().insert(header::LINK, link);
    }
}

/// Reads and finishes the query of a list that takes nothing but its page.
pub fn only_page(mut query: Query, kind: char) -> Result<PageRequest, Problem> {
    let request = PageRequest::take(&mut query, kind, PAGE_SIZE_MAX);
    query.finish().map(|()| request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<PageRequest, Problem> {
        only_page(Query::read(text)?, 'n')
    }

    #[test]
    fn a_cursor_survives_its_text_and_no_change_to_it() {
        for value in [0, 7, -1, i64::MAX, i64::MIN] {
            let cursor = Cursor { kind: 'c', value, id: Uuid::from_u128(9) };
            assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
            assert_eq!(Cursor::parse(&cursor.text().replacen('c', "d", 1)), None);
        }
        for wrong in ["", ".", "..", "c7", "c7..1", "é1.2.3"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_goes_as_deep_as_it_says() {
        assert!(asked("page=100&page_size=100").is_ok());
        assert!(asked("page=101&page_size=100").is_err());
        assert!(asked("page_size=101").is_err());
        assert!(asked("page=0").is_err());
        assert!(asked("cursor=x").is_err());
        let other = Cursor::position('q', 3).text();
        assert!(asked(&format!("cursor={other}")).is_err());
    }

    #[test]
    fn walking_by_name_meets_every_item_once_and_takes_no_other_cursor() -> Result<(), Problem> {
        let all: Vec<String> = (0..10).map(|number| format!("queue-{number}")).collect();
        let (mut text, mut met) = ("page_size=3".to_owned(), Vec::new());
        loop {
            let request = only_named(Query::read(&text)?, 'q')?;
            let behind = all.iter().filter(|name| Some(name.as_str()) > request.after());
            let found = behind.take(request.wanted()).cloned().collect();
            let (page, info) = request.cut(found, String::clone, TotalCount::of(10), 0);
            met.extend(page);
            let Some(next) = info.next_cursor else { break };
            assert!(only_named(Query::read(&format!("cursor={next}"))?, 'w').is_err());
            assert!(only_named(Query::read(&format!("cursor={next}0"))?, 'q').is_err());
            text = format!("page_size=3&cursor={next}");
        }
        assert_eq!(met, all);
        assert!(only_named(Query::read("page=101&page_size=100")?, 'q').is_err());
        Ok(())
    }

    #[test]
    fn walking_by_cursor_meets_every_item_once() -> Result<(), Problem> {
        let mut request = asked("page_size=3")?;
        let mut met = Vec::new();
        loop {
            let (items, info) = request.cut('n', (0..10).collect::<Vec<i32>>(), 0);
            met.extend(items);
            let Some(next) = info.next_cursor else { break };
            request = asked(&format!("page_size=3&cursor={next}"))?;
        }
        assert_eq!(met, (0..10).collect::<Vec<i32>>());
        Ok(())
    }
}
