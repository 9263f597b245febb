//! How large a node is, everything below it included.

use super::{Content, Node};

/// What the limits are counted in.
#[derive(Clone, Copy, Default)]
pub struct Size {
    /// Nodes, keys among them.
    pub nodes: usize,
    /// Bytes of all scalars.
    pub scalar_bytes: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
}

/// Measures a node.
pub fn measure(node: &Node) -> Size {
    let add = |sum: Size, node: &Node| {
        let size = measure(node);
        Size {
            nodes: sum.nodes + size.nodes,
            scalar_bytes: sum.scalar_bytes + size.scalar_bytes,
            depth: sum.depth.max(size.depth + 1),
        }
    };
    let one = Size {
        nodes: 1,
        scalar_bytes: 0,
        depth: 1,
    };
    match &node.content {
        Content::Scalar { text, .. } => Size {
            nodes: 1,
            scalar_bytes: text.len(),
            depth: 0,
        },
        Content::Seq(nodes) => nodes.iter().fold(one, add),
        // A key is a node of its own.
        Content::Map(entries) => entries.iter().fold(one, |sum, entry| {
            let key = Size {
                nodes: sum.nodes + 1,
                scalar_bytes: sum.scalar_bytes + entry.key.len(),
                ..sum
            };
            add(key, &entry.value)
        }),
    }
}
