//! A graph that is built once and computed many times, with other inputs each time.

use crate::attention::{Cache, CacheShape, Pass, Span};
use crate::graph::{Allocator, Arena, InputNode, Node};
use crate::llama::CacheType;
use crate::weights::Weights;
use crate::{Backend, Error, Result};
use ggml_sys as sys;
use std::ptr::NonNull;
use std::sync::Arc;

/// Values for an input.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// For one made with [`Arena::input`].
    F32(&'a [f32]),
    /// For one made with [`Arena::indices`].
    Indices(&'a [i32]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Indices(values) => values.len(),
        }
    }
}

/// The cache that a graph with attention is computed with.
#[derive(Clone)]
pub(crate) struct Needs {
    pub(crate) shape: CacheShape,
    pub(crate) kind: CacheType,
    pub(crate) rows: usize,
    pub(crate) pass: Arc<Pass>,
}

/// A graph with memory of its own.
pub struct Plan {
    // Freed before the backend it allocates from, and the graph before the weights it reads.
    _allocator: Allocator,
    graph: NonNull<sys::ggml_cgraph>,
    inputs: Vec<InputNode>,
    outputs: Vec<(NonNull<sys::ggml_tensor>, usize)>,
    needs: Option<Needs>,
    arena: Arena,
    _weights: Arc<Weights>,
    backend: Arc<Backend>,
    /// Computed at least once.
    is_computed: bool,
}

// SAFETY: the plan owns its graph and its memory; the weights it reads never change; every use takes `&mut` or only reads
// results.
unsafe impl Send for Plan {}

impl Plan {
    /// Builds a graph of up to `max_nodes` nodes over the weights. `build` returns its outputs, which are no views, and all
    /// inputs it makes must count for them. Errors: those of `build`, and no memory.
    pub fn new(
        backend: &Arc<Backend>,
        weights: &Arc<Weights>,
        max_nodes: usize,
        build: impl for<'a> FnOnce(&'a Arena, &'a Weights) -> Result<Vec<Node<'a>>>,
    ) -> Result<Self> {
        let arena = Arena::over(max_nodes, weights.id())?;
        let (graph, outputs) = {
            let outputs = build(&arena, weights)?;
            let graph = arena.graph(&outputs)?;
            (graph, outputs.iter().map(|output| (output.raw_node(), output.len())).collect::<Vec<_>>())
        };
        let graph = NonNull::new(graph).ok_or_else(|| Error::new("ggml could not make a graph"))?;
        let allocator = Allocator::new(backend)?;
        allocator.allocate(graph.as_ptr())?;
        let inputs = arena.inputs();
        for input in &inputs {
            // SAFETY: the node is live.
            if unsafe { (*input.raw.as_ptr()).buffer }.is_null() {
                return Err(Error::new("an input the outputs do not depend on"));
            }
        }
        Ok(Self {
            _allocator: allocator,
            graph,
            inputs,
            outputs,
            needs: arena.needs(),
            arena,
            _weights: Arc::clone(weights),
            backend: Arc::clone(backend),
            is_computed: false,
        })
    }

    /// Computes the graph with these inputs, in the order they were made. A graph with attention needs the cache, and the
    /// spans of its rows. With `each_alone`, every row is computed as if it came alone ([`Backend::each_alone`]). Errors:
    /// inputs of another number, type or length, an index out of bounds, another cache, spans that are not the rows.
    /// After an error the sequences of the spans end where the spans begin.
    pub fn compute(
        &mut self,
        inputs: &[Values<'_>],
        attention: Option<(&mut Cache, &[Span])>,
        each_alone: bool,
    ) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::new(format!("values for {} of {} inputs", inputs.len(), self.inputs.len())));
        }
        for (node, values) in self.inputs.iter().zip(inputs) {
            if node.len != values.len() {
                return Err(Error::new(format!("{} values for an input of {}", values.len(), node.len)));
            }
            match (node.below, values) {
                (None, Values::F32(_)) => {}
                (Some(below), Values::Indices(indices)) => {
                    let wrong =
                        indices.iter().find(|index| usize::try_from(**index).map_or(true, |index| index >= below));
                    if let Some(index) = wrong {
                        return Err(Error::new(format!("the index {index} where all are below {below}")));
                    }
                }
                _ => return Err(Error::new("values of another type than the input")),
            }
        }
        for (node, values) in self.inputs.iter().zip(inputs) {
            let (start, bytes) = match values {
                Values::F32(values) => (values.as_ptr().cast(), size_of_val(*values)),
                Values::Indices(values) => (values.as_ptr().cast(), size_of_val(*values)),
            };
            // SAFETY: the node is allocated and takes exactly these bytes.
            unsafe { sys::ggml_backend_tensor_set(node.raw.as_ptr(), start, 0, bytes) };
        }
        self.is_computed = false;
        let graph = self.graph.as_ptr();
        let compute = || {
            let status = self.backend.compute_rows(graph, each_alone);
            if status != sys::GGML_STATUS_SUCCESS {
                return Err(Error::new(format!("ggml could not compute the graph (status {status})")));
            }
            self.arena.check_operations()
        };
        match (&self.needs, attention) {
            (None, None) => compute()?,
            (Some(needs), Some((cache, spans))) => {
                if cache.shape() != needs.shape || cache.kind() != needs.kind {
                    return Err(Error::new(format!(
                        "a cache of {:?} for attention over {:?}",
                        cache.shape(),
                        needs.shape
                    )));
                }
                cache.check(spans, needs.rows)?;
                // SAFETY: this plan alone has the pass, and it is borrowed; the spans were checked.
                unsafe { needs.pass.run(cache, spans, compute)? };
            }
            (Some(_), None) => return Err(Error::new("a graph with attention, computed without a cache")),
            (None, Some(_)) => return Err(Error::new("a cache for a graph without attention")),
        }
        self.is_computed = true;
        Ok(())
    }

    /// Copies the values of an output of the last computation. Errors: an output that is not there, another number of values.
    pub fn read(&self, output: usize, values: &mut [f32]) -> Result<()> {
        let (node, len) = self.outputs.get(output).ok_or_else(|| Error::new(format!("output {output}")))?;
        if !self.is_computed || *len != values.len() {
            return Err(Error::new(format!("{} values of an output of {len}", values.len())));
        }
        // SAFETY: the output is allocated and holds exactly that many f32 values.
        unsafe { sys::ggml_backend_tensor_get(node.as_ptr(), values.as_mut_ptr().cast(), 0, size_of_val(values)) };
        Ok(())
    }

    /// Values of an output.
    pub fn output_len(&self, output: usize) -> usize {
        self.outputs.get(output).map_or(0, |(_, len)| *len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UncheckedFile;
    use crate::weights::TensorSpec;

    /// Weights `w`: eight times a number.
    fn weights(backend: &Backend, number: f32) -> Arc<Weights> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let bytes: Vec<u8> = std::iter::repeat_n(number.to_le_bytes(), 8).flatten().collect();
        std::io::Write::write_all(&mut file, &bytes).expect("written");
        let spec =
            TensorSpec { name: "w".into(), kind: sys::GGML_TYPE_F32, dims: [8, 1, 1, 1], offset: 0, matrix: false };
        let checked = UncheckedFile::new(file.path()).and_then(UncheckedFile::vouch).expect("checked");
        Arc::new(Weights::map(&checked, &[spec], backend, false).expect("mapped"))
    }

    #[test]
    fn a_plan_is_computed_many_times_and_keeps_its_weights() {
        let backend = Arc::new(Backend::cpu(1).expect("a CPU"));
        let kept = weights(&backend, 2.0);
        let plan = Plan::new(&backend, &kept, 8, |arena, weights| {
            let rows = arena.input(&[8, 3])?;
            let picked = arena.indices(2, 3)?;
            Ok(vec![arena.rows(arena.mul(rows, weights.get("w")?)?, picked)?])
        });
        drop(kept);
        let mut plan = plan.expect("a plan");
        let mut found = [0.0; 16];
        assert!(plan.read(0, &mut found).is_err(), "nothing was computed");
        for start in [0.0f32, 100.0] {
            let rows: Vec<f32> = (0..24).map(|value| start + value as f32).collect();
            plan.compute(&[Values::F32(&rows), Values::Indices(&[2, 0])], None, start > 0.0).expect("computed");
            plan.read(0, &mut found).expect("read");
            assert_eq!((found[0], found[15]), (2.0 * (start + 16.0), 2.0 * (start + 7.0)));
        }
        let rows = [0.0; 24];
        for wrong in [3, -1, i32::MAX] {
            assert!(plan.compute(&[Values::F32(&rows), Values::Indices(&[0, wrong])], None, false).is_err(), "{wrong}");
        }
        assert!(plan.compute(&[Values::F32(&rows[1..]), Values::Indices(&[0, 1])], None, false).is_err());
        assert!(plan.compute(&[Values::F32(&rows)], None, false).is_err());
        assert!(plan.compute(&[Values::Indices(&[0, 1]), Values::F32(&rows)], None, false).is_err());
        assert!(plan.read(0, &mut found[1..]).is_err() && plan.read(1, &mut found).is_err());
    }

    /// Weights that nobody keeps would be read after they are gone.
    #[test]
    fn other_weights_are_refused() {
        let backend = Arc::new(Backend::cpu(1).expect("a CPU"));
        let kept = weights(&backend, 2.0);
        // Those of the stack do not compile: a graph may outlive them. These are never freed.
        let other: &'static Weights = Box::leak(Box::new(weights(&backend, 3.0)));
        let plan = Plan::new(&backend, &kept, 8, |arena, _| {
            let rows = arena.input(&[8])?;
            Ok(vec![arena.mul(rows, other.get("w")?)?])
        });
        assert!(plan.is_err());
        let plan = Plan::new(&backend, &kept, 8, |arena, weights| {
            arena.indices(2, 3)?;
            Ok(vec![arena.mul(arena.input(&[8])?, weights.get("w")?)?])
        });
        assert!(plan.is_err(), "an input that nothing depends on");
    }
}
