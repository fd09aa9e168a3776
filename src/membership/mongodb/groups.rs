//! Documents of `groups`: `_id` = the group's number, who drives it, the fence. One that is missing was never driven.
//! Always holds: a statement changes a group only from the fence that was seen; of two that want it one matches.

use bson::raw::cstr;
use bson::{doc, rawdoc};
use domain::ids::GroupId;

use super::store::{MongoMembership, damaged, of_call};
use crate::environment::mongodb::{BulkStatement, DocumentFields, Undecodable, to_stored};
use crate::membership::contract::{EngineId, GroupRecord, HandOver, MembershipResult, Take};

impl MongoMembership {
    pub(super) async fn read_groups(&self) -> MembershipResult<Vec<GroupRecord>> {
        let fields = doc! { "driver": 1, "fence": 1, "next": 1 };
        let found = self.all("the groups", &self.groups, doc! {}, fields).await?;
        let mut groups: Vec<GroupRecord> = GroupId::all().map(GroupRecord::untouched).collect();
        for document in &found {
            let fields = DocumentFields(document);
            let number = fields.number("_id").map_err(damaged)?;
            let place = usize::try_from(number).ok().and_then(|number| groups.get_mut(number));
            // A group that this version does not have is another version's.
            let Some(record) = place else { continue };
            record.fence = fields.number("fence").map_err(damaged)?;
            record.driver = engine_of(fields, "driver").map_err(damaged)?;
            record.next = engine_of(fields, "next").map_err(damaged)?;
        }
        Ok(groups)
    }

    pub(super) async fn take_groups(&self, me: EngineId, takes: &[Take]) -> MembershipResult<()> {
        let statements = takes.iter().map(|taken| BulkStatement::Update {
            filter: rawdoc! { "_id": i32::from(taken.group.index()), "fence": to_stored(taken.fence) },
            change: rawdoc! {
                "$set": { "driver": i64::from(me), "fence": to_stored(taken.fence + 1) },
                "$unset": { "next": "" },
                "$currentDate": { "since": true },
            },
            many: false,
            // A group that nobody ever drove has no document; of two that make it one gets a duplicate key.
            upsert: taken.fence == 0,
        });
        self.change("the taking of groups", &statements.collect::<Vec<_>>()).await
    }

    pub(super) async fn hand_over_groups(
        &self,
        me: EngineId,
        groups: &[HandOver],
    ) -> MembershipResult<()> {
        let statements = groups.iter().map(|group| {
            let mut set = rawdoc! { "fence": to_stored(group.fence + 1) };
            let mut unset = rawdoc! { "driver": "" };
            match group.next {
                Some(next) => set.append(cstr!("next"), i64::from(next)),
                None => unset.append(cstr!("next"), ""),
            }
            BulkStatement::Update {
                filter: rawdoc! {
                    "_id": i32::from(group.group.index()),
                    "fence": to_stored(group.fence),
                    "driver": i64::from(me),
                },
                change: rawdoc! {
                    "$set": set, "$unset": unset, "$currentDate": { "since": true },
                },
                many: false,
                upsert: false,
            }
        });
        self.change("the handing over of groups", &statements.collect::<Vec<_>>()).await
    }

    async fn change(
        &self,
        what: &'static str,
        statements: &[BulkStatement],
    ) -> MembershipResult<()> {
        self.connection.bulk(what, "groups", statements).await.map(drop).map_err(of_call)
    }
}

fn engine_of(
    fields: DocumentFields<'_>,
    field: &'static str,
) -> Result<Option<EngineId>, Undecodable> {
    if fields.find(field)?.is_none() {
        return Ok(None);
    }
    let number = EngineId::try_from(fields.number(field)?);
    number.map(Some).map_err(|_| Undecodable { field, problem: "is too large" })
}

#[cfg(test)]
mod tests {
    use bson::RawDocumentBuf;

    use super::*;

    #[test]
    fn an_engine_that_is_missing_is_none_and_one_that_is_no_number_is_damage() {
        let document = rawdoc! { "driver": 7_i64, "next": "x" };
        let fields = DocumentFields(&document);
        assert_eq!(engine_of(fields, "driver"), Ok(Some(7)));
        assert_eq!(engine_of(DocumentFields(&RawDocumentBuf::new()), "driver"), Ok(None));
        assert!(engine_of(fields, "next").is_err());
    }
}
