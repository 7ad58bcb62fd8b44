//! Secrets: texts that no log, debug print or error shows, and the admin token's file.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::Error;

/// A key, token or address with a password: wiped when dropped, shown only by [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// 128 random bits as 32 hexadecimal digits.
    pub fn random() -> Secret {
        let mut bits = [0u8; 16];
        aws_lc_rs::rand::fill(&mut bits).expect("the system's random source answers");
        let secret = Secret(hex::encode(bits));
        bits.zeroize();
        secret
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that tells nothing but the length.
    pub fn matches(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The operator's token, and the file that holds it unless the configuration does.
#[derive(Clone, Debug)]
pub struct AdminToken {
    pub token: Secret,
    pub path: Option<PathBuf>,
}

impl AdminToken {
    /// Reads `data_dir/admin-token`, or makes it (folder 0700, file 0600).
    pub(super) fn kept_in(data_dir: &Path) -> Result<AdminToken, Error> {
        let path = data_dir.join(TOKEN_FILE);
        let token = read_or_make(data_dir, &path).map_err(|error| Error::Token { path: path.clone(), error })?;
        Ok(AdminToken { token, path: Some(path) })
    }
}

fn read_or_make(data_dir: &Path, path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(mut text) => {
            let token = text.trim().to_owned();
            text.zeroize();
            if token.len() < 16 {
                return Err(io::Error::other("the file holds no token; delete it and a new one is made"));
            }
            // A copied or restored folder may have lost the file's mode.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            Ok(Secret(token))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
            let token = Secret::random();
            // Written aside and renamed, so that a crash leaves a whole token or none.
            let aside = path.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            writeln!(file, "{}", token.expose())?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}

const TOKEN_FILE: &str = "admin-token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("deep/data");
        let made = AdminToken::kept_in(&data_dir).unwrap();
        let again = AdminToken::kept_in(&data_dir).unwrap();
        assert_eq!(made.token.expose(), again.token.expose());
        assert_eq!(made.token.expose().len(), 32);
        let mode = fs::metadata(made.path.unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_empty_token_file_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TOKEN_FILE), "\n").unwrap();
        let refusal = AdminToken::kept_in(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("delete it"), "{refusal}");
    }

    #[test]
    fn secrets_differ_and_match_only_themselves() {
        let (one, other) = (Secret::random(), Secret::random());
        assert!(one.matches(one.expose()) && !one.matches(other.expose()) && !one.matches(""));
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }
}
