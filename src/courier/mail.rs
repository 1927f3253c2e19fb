//! One mail to one mailbox.
//!
//! Each mailbox has a courier of its own: one that is refused or full costs the others nothing, and whoever took a mail is not sent it
//! again because another one did not.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use tokio::time::timeout;

use super::{Failure, tls, within};
use crate::alert::condition::one_line;
use crate::alert::message;
use crate::alert::notification::Notification;
use crate::alert::receiver::{Mail, MailTls};

/// One address of the server may take so long to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// The server may take so long for a step before the mail itself (RFC 5321 §4.5.3.2): some are slow on purpose.
const STEP: Duration = Duration::from_secs(300);
/// The server may take so long for the mail, and what filters it (RFC 5321 §4.5.3.2.6): whoever gives up sooner sends again what was taken.
const TAKING: Duration = Duration::from_secs(600);
/// Goodbye may take so long: what became of the mail is known before.
const GOODBYE: Duration = Duration::from_secs(5);

/// Sends a notification to one of the mailboxes.
pub(super) async fn send(mail: &Mail, to: &str, told: &Notification, server: &str) -> Result<(), Failure> {
    let letter = Letter::of(mail, to, told, server)?;
    let connection = within(STEP, connected(mail)).await?;
    letter.hand_over(connection).await
}

/// Connects, encrypts and logs in: what goes wrong here is nothing that the mail has done.
async fn connected(mail: &Mail) -> Result<AsyncSmtpConnection, Failure> {
    let own = ClientId::default();
    let tls = (mail.tls != MailTls::None).then(|| encrypted(mail)).transpose().map_err(Failure::Passing)?;
    let (at_once, later) = if mail.tls == MailTls::Tls { (tls, None) } else { (None, tls) };
    let at = (&*mail.host, mail.port);
    let connected = AsyncSmtpConnection::connect_tokio1(at, Some(CONNECT), &own, at_once, None).await;
    let mut connection = connected.map_err(passing)?;
    if let Some(tls) = later {
        connection.starttls(tls, &own).await.map_err(passing)?;
    }
    if let Some((user, password)) = &mail.login {
        let login = Credentials::new(user.clone(), password.0.clone());
        connection.auth(DEFAULT_MECHANISMS, &login).await.map_err(passing)?;
    }
    Ok(connection)
}

fn encrypted(mail: &Mail) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(mail.host.clone()).certificate_store(CertificateStore::None);
    for certificate in tls::certificates(mail.roots.as_deref())? {
        let certificate =
            Certificate::from_der(certificate.as_ref().to_vec()).map_err(|error| error.to_string())?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build_rustls().map_err(|error| error.to_string())
}

/// A mail, and the envelope that it is sent in.
struct Letter {
    from: Address,
    to: Address,
    octets: Vec<u8>,
}

impl Letter {
    fn of(mail: &Mail, to: &str, told: &Notification, server: &str) -> Result<Letter, Failure> {
        let mailbox = |address: &str| {
            let read = address.parse::<Mailbox>();
            read.map_err(|error| Failure::Passing(format!("`{address}` is no address: {error}")))
        };
        let (subject, text) = message::mail(told, server);
        let (from, to) = (mailbox(&mail.from)?, mailbox(to)?);
        let mut builder = Message::builder().from(from.clone()).subject(one_line(&subject)).message_id(None);
        // Whoever reads it sees who else does.
        for reader in &mail.to {
            builder = builder.to(mailbox(reader)?);
        }
        let written = builder.body(text);
        let written =
            written.map_err(|error| Failure::Lasting(format!("the mail cannot be written: {error}")))?;
        Ok(Letter { from: from.email, to: to.email, octets: written.formatted() })
    }

    /// Hands it to a server that listens.
    async fn hand_over(self, mut connection: AsyncSmtpConnection) -> Result<(), Failure> {
        let taken = self.taken(&mut connection).await;
        let _ = timeout(GOODBYE, connection.quit()).await;
        taken
    }

    async fn taken(self, connection: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let Letter { from, to, octets } = self;
        let from = commands::Mail::new(Some(from), Vec::new());
        within(STEP, async { connection.command(from).await.map_err(passing) }).await?;
        let to = commands::Rcpt::new(to, Vec::new());
        within(STEP, async { connection.command(to).await.map_err(refused) }).await?;
        within(STEP, async { connection.command(commands::Data).await.map_err(refused) }).await?;
        within(TAKING, async { connection.message(&octets).await.map_err(refused) }).await?;
        Ok(())
    }
}

/// An error before the mailbox was named: it is about us or the server, and can be mended while the mail waits.
fn passing(error: smtp::Error) -> Failure {
    Failure::Passing(words(&error))
}

/// An error since: 5xx is for good (RFC 5321 §4.2.1), unless it is about who we are (RFC 4954 §6).
fn refused(error: smtp::Error) -> Failure {
    let is_of_login = matches!(error.status().map(u16::from), Some(530..=538));
    match error.is_permanent() && !is_of_login {
        true => Failure::Lasting(words(&error)),
        false => Failure::Passing(words(&error)),
    }
}

/// What an SMTP error means, with all that is behind it.
fn words(error: &smtp::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        let deeper_words = deeper.to_string();
        if !words.contains(&deeper_words) {
            words = format!("{words}: {deeper_words}");
        }
        source = deeper.source();
    }
    one_line(&words)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use lettre::transport::smtp::client::AsyncTokioStream;
    use tokio::io::{
        AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex,
    };
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A connection within the program: its time is the test's.
    #[derive(Debug)]
    struct Pipe(DuplexStream);

    impl AsyncRead for Pipe {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Pipe {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, octets)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    impl AsyncTokioStream for Pipe {
        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Ok(([127, 0, 0, 1], 25).into())
        }
    }

    /// What a server answers to lines that begin so, and after how many seconds. `.` is the end of a mail.
    type Answers = &'static [(&'static str, u64, &'static str)];

    async fn serve(stream: DuplexStream, answers: Answers) {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 test\r\n").await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let said = answers.iter().find(|(beginning, ..)| match *beginning {
                "." => line == ".\r\n",
                beginning => line.starts_with(beginning),
            });
            if let Some((_, seconds, answer)) = said {
                sleep(Duration::from_secs(*seconds)).await;
                let _ = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
            }
            line.clear();
        }
    }

    /// What becomes of a mail to a server that says this, and how many seconds it takes.
    async fn handed(answers: Answers) -> (Result<(), Failure>, u64) {
        let begun = Instant::now();
        let (own, other) = duplex(1024);
        tokio::spawn(serve(other, answers));
        let name = ClientId::default();
        let connection = AsyncSmtpConnection::connect_with_transport(Box::new(Pipe(own)), &name);
        let mail = Mail {
            host: "mail.example.com".into(),
            port: 25,
            tls: MailTls::None,
            roots: None,
            login: None,
            from: "steerdns@example.com".into(),
            to: vec!["ana@example.com".into(), "bo@example.com".into()],
        };
        let told = &message::test(Duration::ZERO)[0];
        let letter = Letter::of(&mail, "ana@example.com", told, "test").unwrap();
        let text = String::from_utf8(letter.octets.clone()).unwrap();
        assert!(text.contains("To: ana@example.com, bo@example.com\r\n"), "{text}");
        let outcome = letter.hand_over(connection.await.unwrap()).await;
        (outcome, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_filter_may_read_for_minutes_and_the_mail_is_taken() {
        let answers: Answers = &[
            ("EHLO", 0, "250 test"),
            ("MAIL FROM:<steerdns@example.com>", 20, "250 ok"),
            ("RCPT TO:<ana@example.com>", 20, "250 ok"),
            ("DATA", 0, "354 go on"),
            (".", 590, "250 taken"),
            ("QUIT", 0, "221 bye"),
        ];
        assert_eq!(handed(answers).await, (Ok(()), 630));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_taken_whatever_is_said_to_goodbye() {
        let answers: Answers = &[
            ("EHLO", 0, "250 test"),
            ("MAIL", 0, "250 ok"),
            ("RCPT", 0, "250 ok"),
            ("DATA", 0, "354 go on"),
            (".", 0, "250 taken"),
            ("QUIT", 3600, "221 bye"),
        ];
        assert_eq!(handed(answers).await, (Ok(()), GOODBYE.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let answers: Answers = &[("EHLO", 0, "250 test"), ("MAIL", 0, "250 ok"), ("QUIT", 0, "221 bye")];
        let late = Failure::Passing("no answer within 300 s".into());
        assert_eq!(handed(answers).await, (Err(late), 300));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_the_mailbox_or_the_mail_and_not_the_sender() {
        let refused = |failure: Result<(), Failure>| match failure {
            Err(Failure::Lasting(words)) => (true, words),
            Err(Failure::Passing(words)) => (false, words),
            Ok(()) => panic!("it was taken"),
        };
        let (outcome, _) =
            handed(&[("EHLO", 0, "250 x"), ("MAIL", 0, "550 not you"), ("QUIT", 0, "221 bye")]).await;
        assert_eq!(refused(outcome), (false, "permanent error (550): not you".into()));
        for (answer, lasts) in
            [("550 no such mailbox", true), ("452 it is full", false), ("530 log in", false)]
        {
            let answers: Answers = match answer {
                "550 no such mailbox" => {
                    &[("EHLO", 0, "250 x"), ("MAIL", 0, "250 ok"), ("RCPT", 0, "550 no such mailbox")]
                }
                "452 it is full" => {
                    &[("EHLO", 0, "250 x"), ("MAIL", 0, "250 ok"), ("RCPT", 0, "452 it is full")]
                }
                _ => &[("EHLO", 0, "250 x"), ("MAIL", 0, "250 ok"), ("RCPT", 0, "530 log in")],
            };
            let (was_lasting, words) = refused(handed(answers).await.0);
            assert_eq!(was_lasting, lasts, "{words}");
            assert!(words.ends_with(&answer[4..]), "{words}");
        }
    }
}
