//! The page that explains the alerts: what alerts link to. It is made from the text that is part of the program, so that it
//! says what this version does.

const TEXT: &str = include_str!("../kinds/monitoring/runbook.md");

/// The page. A heading's text is its anchor.
pub fn page() -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>What the alerts mean</title>\n\
         <style>body{{max-width:46em;margin:2em auto;padding:0 1em;font:16px/1.5 sans-serif}}\
         code,pre{{background:#eee;padding:.1em .3em}}:target{{background:#fe9}}</style>\n{}</html>\n",
        html(TEXT)
    )
}

/// The little of Markdown that the text uses: headings, lists, code, paragraphs.
fn html(markdown: &str) -> String {
    let mut page = String::new();
    let mut is_code = false;
    for block in markdown.lines() {
        if block.starts_with("```") {
            page.push_str(if is_code { "</pre>\n" } else { "<pre>" });
            is_code = !is_code;
        } else if is_code {
            page.push_str(&format!("{}\n", escaped(block)));
        } else if let Some(title) = block.strip_prefix("# ") {
            page.push_str(&format!("<h1>{}</h1>\n", escaped(title)));
        } else if let Some(title) = block.strip_prefix("## ") {
            let title = escaped(title);
            page.push_str(&format!("<h2 id=\"{title}\">{title}</h2>\n"));
        } else if let Some(item) = block.strip_prefix("* ").or(block.strip_prefix("- ")) {
            page.push_str(&format!("<li>{}\n", spans(item)));
        } else if block.trim().is_empty() {
            page.push_str("<p>\n");
        } else {
            page.push_str(&format!("{}\n", spans(block)));
        }
    }
    page
}

/// Text with `code` in it.
fn spans(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let shown = parts.map(|(nth, part)| match nth % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    shown.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn headings_are_anchors_and_nothing_is_markup_by_accident() {
        let page = html("## NoPrimary\n\nRun `a < b`:\n```\nx & y\n```\n* one");
        assert_eq!(
            page,
            "<h2 id=\"NoPrimary\">NoPrimary</h2>\n<p>\nRun <code>a &lt; b</code>:\n<pre>x &amp; y\n</pre>\n<li>one\n"
        );
    }
}
