//! The calls about retry policies that a namespace keeps.

use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::Value;
use serde_json::value::RawValue;

use super::calls::API;
use super::shapes::{PolicyPage, PolicyPreview, PolicyShape};
use super::{Client, ClientError, with_bytes, with_json};

const POLICIES: &str = "retry-policies";

impl Client {
    /// A page of the policies, by name, read and as the engine wrote it.
    pub async fn policies(
        &self,
        page: u64,
        page_size: u64,
    ) -> Result<(PolicyPage, Box<RawValue>), ClientError> {
        let mut url = self.url(&[API[0], API[1], POLICIES]);
        url.query_pairs_mut()
            .append_pair("page", &page.to_string())
            .append_pair("page_size", &page_size.to_string());
        let answer = self.send(self.request_to(Method::GET, url)).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// One policy by its id or name.
    pub async fn policy(
        &self,
        reference: &str,
    ) -> Result<(PolicyShape, Box<RawValue>), ClientError> {
        let request = self.request(Method::GET, &[API[0], API[1], POLICIES, reference]);
        let answer = self.send(request).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// Creates a policy from a document as it was written. The same key and document make it once.
    pub async fn create_policy(
        &self,
        document: Vec<u8>,
        idempotency_key: &str,
    ) -> Result<(PolicyShape, Box<RawValue>), ClientError> {
        let request = self
            .request(Method::POST, &[API[0], API[1], POLICIES])
            .header("Idempotency-Key", idempotency_key);
        let answer = self.send(with_bytes(request, document)).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// Replaces a policy. `version`: only while it is that one.
    pub async fn replace_policy(
        &self,
        reference: &str,
        document: Vec<u8>,
        version: Option<u64>,
    ) -> Result<(PolicyShape, Box<RawValue>), ClientError> {
        let request = self.request(Method::PUT, &[API[0], API[1], POLICIES, reference]);
        let request = match version {
            Some(version) => request.header(IF_MATCH, format!("\"{version}\"")),
            None => request,
        };
        let answer = self.send(with_bytes(request, document)).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }

    /// Deletes a policy. `version`: only while it is that one.
    pub async fn delete_policy(
        &self,
        reference: &str,
        version: Option<u64>,
    ) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &[API[0], API[1], POLICIES, reference]);
        let request = match version {
            Some(version) => request.header(IF_MATCH, format!("\"{version}\"")),
            None => request,
        };
        self.send(request).await.map(drop)
    }

    /// What a policy would do.
    pub async fn preview_policy(
        &self,
        ask: &Value,
    ) -> Result<(PolicyPreview, Box<RawValue>), ClientError> {
        let request = self.request(Method::POST, &[API[0], API[1], POLICIES, "preview"]);
        let answer = self.send(with_json(request, ask)?).await?;
        let document: Box<RawValue> = self.read(answer).await?;
        self.as_read(document)
    }
}
