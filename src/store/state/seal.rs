//! Putting names and whole files together; [`Fields`](crate::fields::Fields) takes them apart.

#[expect(clippy::cast_possible_truncation, reason = "names are at most 255 bytes")]
pub(crate) fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Magic, version, payload, checksum.
pub(crate) fn sealed(magic: [u8; 8], version: u32, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&version.to_be_bytes());
    payload(&mut out);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}
