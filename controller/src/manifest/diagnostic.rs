//! stub
/// D
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// f
    pub file: String,
    /// m
    pub message: String,
    /// r
    pub resource: Option<(String, String)>,
}
impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
