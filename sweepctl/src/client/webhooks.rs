//! Questions about webhooks.

use sweep_proto::v1;

use super::{Client, user};
use crate::fault::Fault;
use crate::view::webhooks::{ReceiverView, WebhookTestView, WebhookView};

impl Client {
    /// Who is told of what, and what waits.
    pub(crate) async fn webhooks(&self) -> Result<Vec<WebhookView>, Fault> {
        let ask = || {
            let mut client = self.upkeep.clone();
            async move { client.list_webhooks(v1::ListWebhooksRequest {}).await }
        };
        Ok(self.patiently(ask).await?.webhooks.into_iter().map(WebhookView::from).collect())
    }

    /// Has every receiver told something that means nothing.
    pub(crate) async fn test_webhooks(&self) -> Result<Vec<WebhookTestView>, Fault> {
        let request = v1::TestWebhooksRequest { user: user() };
        let reply = self.upkeep.clone().test_webhooks(request).await.map_err(|status| self.fault(status))?;
        Ok(reply.into_inner().tests.into_iter().map(WebhookTestView::from).collect())
    }
}

impl From<v1::WebhookState> for WebhookView {
    fn from(state: v1::WebhookState) -> Self {
        let v1::WebhookState { webhook, waiting, oldest, taken, failed, error, failures } = state;
        let mut webhook = webhook.unwrap_or_default();
        let on = std::mem::take(&mut webhook.on);
        Self { webhook: webhook.into(), on, waiting, oldest, taken, failed, error: filled(error), failures }
    }
}

impl From<v1::WebhookTest> for WebhookTestView {
    fn from(test: v1::WebhookTest) -> Self {
        let v1::WebhookTest { webhook, error, ms } = test;
        Self { webhook: webhook.unwrap_or_default().into(), error: filled(error), ms }
    }
}

impl From<v1::Webhook> for ReceiverView {
    fn from(webhook: v1::Webhook) -> Self {
        Self { number: webhook.number, hash: webhook.label, domain: webhook.place }
    }
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
