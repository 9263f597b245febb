//! What can be seen without a server. Everything else is seen by the tests of the product on real ones.

use std::rc::Rc;

use tokio::task::LocalSet;

use super::*;
use crate::host::FailureKind;
use crate::model::SecretRef;
use crate::model::postgres::Down;

struct Fixed;

impl Secrets for Fixed {
    fn reveal(&self, _: &SecretRef) -> Result<String, HostError> {
        Ok("made".to_owned())
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        self.reveal(secret).map(Some)
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_server_that_starts() {
    let look = async {
        let servers = Postgres::new(Rc::new(Fixed));
        let target = SqlTarget {
            container: "none".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 1,
            password: SecretRef::File(String::new()),
        };
        let server = servers.server(&target, &PgQuestion::default()).await;
        assert_eq!(
            server,
            Server::Down(Down::StartingUp, "its port is not open yet".to_owned())
        );
        let error = servers.sql(&target, &SqlOp::Reload).await.expect_err("nobody is there");
        assert_eq!(error.kind, FailureKind::Unreachable);
    };
    LocalSet::new().run_until(look).await;
}
