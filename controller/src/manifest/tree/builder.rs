//! Events of the parser to nodes.
//!
//! The parser hands out events one by one, so the limits hold while it works: a text that would unfold to gigabytes
//! is refused before anything of that size exists.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::keys::accept_key;
use super::size::{Size, measure};
use super::{Content, Entry, Node, Parsed, Style, Tree};
use crate::manifest::diagnostic::{Finding, Position, Span, quote};
use crate::manifest::{scalar, syntax};

/// Nodes of one file, each alias counted as everything it stands for. A large manifest has a few hundred.
pub const MAX_NODES: usize = 100_000;
/// Bytes of all scalars of one file, aliases again counted in full: four times what the file itself may have.
pub const MAX_SCALAR_BYTES: usize = 4 << 20;
/// Levels of nesting; the stages after this one recurse.
pub const MAX_DEPTH: usize = 64;
/// Beyond this many findings in a document nobody reads on.
const MAX_FINDINGS: usize = 100;

/// Builds the trees of all documents in a text.
pub fn build(text: &str) -> Tree {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut builder = Builder {
        lines: &lines,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        scalar_bytes: 0,
        findings: Vec::new(),
        tree: Tree::default(),
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let result = match event {
            Ok((event, span)) => {
                let opens_flow = builder.opens_flow(span.start, span.end);
                builder.take(event, builder.span(span.start, span.end), opens_flow)
            }
            Err(error) => Err(syntax::explain(
                error.info(),
                error.marker().line(),
                error.marker().col(),
                &lines,
            )),
        };
        if let Err(finding) = result {
            builder.tree.broken = Some(finding);
            break;
        }
    }
    builder.tree
}

struct Builder<'t> {
    lines: &'t [&'t str],
    /// The lists and maps that are open, the innermost last.
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    nodes: usize,
    scalar_bytes: usize,
    findings: Vec<Finding>,
    tree: Tree,
}

struct Anchor {
    node: Node,
    size: Size,
}

struct Frame {
    span: Span,
    anchor: usize,
    /// Whether it is written in brackets; indentation means nothing there.
    flow: bool,
    partial: Partial,
}

enum Partial {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: BTreeMap<String, u32>,
        next: Next,
    },
}

/// What the next node of a map is.
enum Next {
    Key,
    ValueOf(String, Span),
    /// The value of a key that has been refused: it is read and forgotten.
    Refused,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span, flow: bool) -> Result<(), Finding> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
            Event::DocumentStart(_) => {
                // Anchors end with their document.
                self.anchors.clear();
                Ok(())
            }
            Event::DocumentEnd => Ok(()),
            Event::Alias(id) => self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = self.check_tag(tag.as_deref(), "str", span);
                let style = match style {
                    ScalarStyle::Plain if !tagged_text => Style::Plain,
                    _ => Style::Quoted,
                };
                self.scalar(text.into_owned(), style, span, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.open(Frame {
                    span,
                    anchor,
                    flow,
                    partial: Partial::Seq(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                let partial = Partial::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    next: Next::Key,
                };
                self.open(Frame {
                    span,
                    anchor,
                    flow,
                    partial,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn scalar(&mut self, text: String, style: Style, span: Span, anchor: usize) -> Result<(), Finding> {
        self.check_tabs(span)?;
        let size = Size {
            nodes: 1,
            scalar_bytes: text.len(),
            depth: 0,
        };
        self.spend(size, span)?;
        let content = Content::Scalar { text, style };
        self.complete(Node { span, content }, anchor)
    }

    fn close(&mut self) -> Result<(), Finding> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let content = match frame.partial {
            Partial::Seq(nodes) => Content::Seq(nodes),
            Partial::Map { entries, .. } => Content::Map(entries),
        };
        self.complete(
            Node {
                span: frame.span,
                content,
            },
            frame.anchor,
        )
    }

    fn open(&mut self, frame: Frame) -> Result<(), Finding> {
        self.check_tabs(frame.span)?;
        self.spend(
            Size {
                nodes: 1,
                scalar_bytes: 0,
                depth: 1,
            },
            frame.span,
        )?;
        self.stack.push(frame);
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Finding> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Finding::at(
                span,
                "the alias refers to an anchor that is not complete or not in this document",
            )
            .help("write out the value"));
        };
        // Before the copy is made: this is where a small text would become a large tree.
        let size = anchor.size;
        self.spend(size, span)?;
        let Some(content) = self.anchors.get(&id).map(|anchor| anchor.node.content.clone()) else {
            return Ok(());
        };
        self.complete(Node { span, content }, 0)
    }

    /// Puts a finished node where it belongs: into the innermost open list or map, or at the document's root.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        if anchor != 0 {
            let size = measure(&node);
            // The copy that later aliases are made from counts, too: nested anchors would square the memory.
            self.spend(Size { depth: 0, ..size }, node.span)?;
            self.anchors.insert(
                anchor,
                Anchor {
                    node: node.clone(),
                    size,
                },
            );
        }
        let Some(frame) = self.stack.last_mut() else {
            let findings = std::mem::take(&mut self.findings);
            if !scalar::is_null(&node) {
                self.tree.documents.push(Parsed { root: node, findings });
            }
            return Ok(());
        };
        let (entries, seen, next) = match &mut frame.partial {
            Partial::Seq(nodes) => {
                nodes.push(node);
                return Ok(());
            }
            Partial::Map { entries, seen, next } => (entries, seen, next),
        };
        match std::mem::replace(next, Next::Key) {
            Next::ValueOf(key, key_span) => entries.push(Entry {
                key,
                key_span,
                value: node,
            }),
            Next::Refused => {}
            Next::Key => match accept_key(node, seen) {
                Ok((key, span)) => *next = Next::ValueOf(key, span),
                Err(finding) => {
                    *next = Next::Refused;
                    self.report(finding);
                }
            },
        }
        Ok(())
    }

    fn report(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    fn spend(&mut self, size: Size, span: Span) -> Result<(), Finding> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.scalar_bytes = self.scalar_bytes.saturating_add(size.scalar_bytes);
        if self.stack.len() + size.depth > MAX_DEPTH {
            return Err(
                Finding::at(span, format!("the file is nested deeper than {MAX_DEPTH} levels"))
                    .help("check the indentation and the brackets"),
            );
        }
        if self.nodes > MAX_NODES || self.scalar_bytes > MAX_SCALAR_BYTES {
            return Err(Finding::at(
                span,
                format!("the file holds more than {MAX_NODES} values or 4 MiB of text, with its aliases written out"),
            )
            .help("split the file, and use fewer aliases (`*name`)"));
        }
        Ok(())
    }

    /// Reports any tag but the one that says what the node is anyway. Returns whether that one is there.
    fn check_tag(&mut self, tag: Option<&Tag>, fitting: &str, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema() && tag.suffix == fitting {
            return true;
        }
        let written = match tag.is_yaml_core_schema() {
            true => format!("!!{}", tag.suffix),
            false => format!("{}{}", tag.handle, tag.suffix),
        };
        self.report(
            Finding::at(span, format!("the tag {} is not supported", quote(&written)))
                .help("remove it; the kind's schema decides what type a value has"),
        );
        false
    }

    /// The parser takes some tabs that other YAML tools refuse or read differently.
    fn check_tabs(&self, span: Span) -> Result<(), Finding> {
        if self.stack.last().is_some_and(|frame| frame.flow) {
            return Ok(());
        }
        let line = self.line(span.at);
        let indent_chars = line.chars().take_while(|c| c.is_whitespace()).count();
        let first_of_line = indent_chars + 1 == span.at.column as usize;
        match first_of_line && line.chars().take(indent_chars).any(|c| c == '\t') {
            true => Err(syntax::tab(span.at.line)),
            false => Ok(()),
        }
    }

    fn line(&self, at: Position) -> &str {
        self.lines.get(at.line as usize - 1).copied().unwrap_or_default()
    }

    /// Whether a list or map with this event's place is written in brackets. Its place then ends with the bracket; any
    /// anchor or tag stands before it. Inside brackets everything is, and need not be looked for in what may be a
    /// line of a megabyte.
    fn opens_flow(&self, start: Marker, end: Marker) -> bool {
        let inside = self.stack.last().is_some_and(|frame| frame.flow);
        let line = self.line(syntax::position(end.line(), end.col()));
        inside
            || start.index() < end.index()
                && line
                    .chars()
                    .nth(end.col().saturating_sub(1))
                    .is_some_and(|c| matches!(c, '[' | '{'))
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let at = syntax::position(start.line(), start.col());
        let width = match start.line() == end.line() {
            true => end.col().saturating_sub(start.col()),
            false => self.line(at).trim_end().chars().count().saturating_sub(start.col()),
        };
        Span {
            at,
            width: u32::try_from(width).unwrap_or(u32::MAX).max(1),
        }
    }
}
