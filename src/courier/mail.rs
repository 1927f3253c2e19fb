//! One mail.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::{Failure, tls};
use crate::alert::condition::one_line;
use crate::alert::message;
use crate::alert::notification::Notification;
use crate::alert::receiver::{Mail, MailTls};

/// One command of the exchange may take so long.
const COMMAND: Duration = Duration::from_secs(5);

/// Sends a notification.
pub(super) async fn send(mail: &Mail, told: &Notification, server: &str) -> Result<(), Failure> {
    let message = written(mail, told, server)?;
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        .tls(encrypted(mail).map_err(Failure::Passing)?)
        .timeout(Some(COMMAND));
    if let Some((user, password)) = &mail.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
    }
    match builder.build().send(message).await {
        Ok(_) => Ok(()),
        Err(error) => Err(failure(&error)),
    }
}

fn written(mail: &Mail, told: &Notification, server: &str) -> Result<Message, Failure> {
    let mailbox = |address: &String| {
        let read = address.parse::<Mailbox>();
        read.map_err(|error| Failure::Passing(format!("`{address}` is no address: {error}")))
    };
    let (subject, text) = message::mail(told, server);
    let mut builder =
        Message::builder().from(mailbox(&mail.from)?).subject(one_line(&subject)).message_id(None);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    builder.body(text).map_err(|error| Failure::Lasting(format!("the mail cannot be written: {error}")))
}

fn encrypted(mail: &Mail) -> Result<Tls, String> {
    if mail.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(mail.host.clone()).certificate_store(CertificateStore::None);
    for certificate in tls::certificates(mail.roots.as_deref())? {
        let certificate =
            Certificate::from_der(certificate.as_ref().to_vec()).map_err(|error| error.to_string())?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build_rustls().map_err(|error| error.to_string())?;
    Ok(if mail.tls == MailTls::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

/// What an SMTP error means: 5xx is for good (RFC 5321 §4.2.1), unless it is about who we are (RFC 4954 §6): that can be mended.
fn failure(error: &smtp::Error) -> Failure {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        let deeper_words = deeper.to_string();
        if !words.contains(&deeper_words) {
            words = format!("{words}: {deeper_words}");
        }
        source = deeper.source();
    }
    let words = one_line(&words);
    let is_of_login = matches!(error.status().map(u16::from), Some(530..=538));
    if error.is_permanent() && !is_of_login { Failure::Lasting(words) } else { Failure::Passing(words) }
}
