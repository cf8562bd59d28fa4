//! What the server says of itself and its models; everywhere it says `simulated`.

use serde_json::{Value, json};

use super::load::Resident;
use super::server::Shared;

/// Metadata of a path that is asked for with GET, or `None` when there is no such path.
pub fn get(shared: &Shared, path: &str) -> Option<Value> {
    Some(match path {
        "/simulator" => json!({ "simulated": true, "pacing": shared.pacing }),
        "/api/version" => json!({ "version": "0.0.0-simulated" }),
        "/api/tags" => {
            let models = shared.models().iter().map(|name| tag(shared, name)).collect::<Vec<_>>();
            json!({ "models": models })
        }
        "/api/ps" => {
            let residents = shared.load.residents();
            let models = residents.iter().map(|model| loaded(shared, model)).collect::<Vec<_>>();
            json!({ "models": models })
        }
        "/v1/models" => {
            let models = shared.models();
            let model =
                |id| json!({ "id": id, "object": "model", "created": 0, "owned_by": "simulated" });
            json!({ "object": "list", "data": models.iter().map(model).collect::<Vec<_>>() })
        }
        _ => return None,
    })
}

/// The answer to `/api/show`.
pub fn show(shared: &Shared) -> Value {
    json!({
        "license": "",
        "modelfile": "# simulated",
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": { "general.architecture": "simulated", "simulated.digest": shared.digest },
        "capabilities": ["completion"],
        "modified_at": shared.started_at,
    })
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "simulated", "family": "simulated",
        "families": ["simulated"], "parameter_size": "simulated",
        "quantization_level": "simulated",
    })
}

fn tag(shared: &Shared, name: &str) -> Value {
    json!({
        "name": name, "model": name, "modified_at": shared.started_at, "size": 0,
        "digest": shared.digest, "details": details(),
    })
}

/// Nothing of it is in the memory of a GPU, and it needs none.
fn loaded(shared: &Shared, model: &Resident) -> Value {
    let expires = match model.leaves_in {
        Some(time) => jiff::Timestamp::now().saturating_add(time),
        None => Ok(jiff::Timestamp::MAX),
    };
    json!({
        "name": model.name, "model": model.name, "size": 0, "digest": shared.digest,
        "details": details(), "size_vram": 0, "context_length": model.context,
        "expires_at": expires.unwrap_or(jiff::Timestamp::MAX).to_string(),
    })
}
