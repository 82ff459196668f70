//! Which model made a text.

use qasr::ModelFiles;
use qasr::model::ModelInfo;
use serde::Serialize;

/// The model, for the JSON forms.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelSummary {
    /// The name in the decoder file; `demo` for the embedded one.
    pub name: String,
    /// How the decoder's weights are stored.
    pub quant: String,
    /// How the audio encoder's weights are stored.
    pub encoder_quant: String,
    /// Null for the embedded demo model.
    pub decoder_file: Option<String>,
    /// Null for the embedded demo model.
    pub encoder_file: Option<String>,
}

impl ModelSummary {
    /// From the model's own description and, where it is not the embedded one, its files.
    pub fn new(info: &ModelInfo, files: Option<&ModelFiles>) -> Self {
        Self {
            name: info.name.clone(),
            quant: info.decoder_type.clone(),
            encoder_quant: info.encoder_type.clone(),
            decoder_file: files.map(|files| files.decoder.display().to_string()),
            encoder_file: files.map(|files| files.encoder.display().to_string()),
        }
    }
}
