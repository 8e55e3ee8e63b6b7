//! The report's page in a real browser: does it open without complaint, are the bars in the order of the table, does
//! pointing at one show its values?

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const PQBENCH: &str = env!("CARGO_BIN_EXE_pqbench");

/// Reads off the rendered page what a person sees: the visible bars from top to bottom, each with what pointing at its
/// middle would show. The page itself has no script; this one is added to a copy.
const PROBE: &str = "<script>addEventListener('load', () => {
  const bars = [...document.querySelectorAll('figure')[0].querySelectorAll('g rect')]
    .filter(bar => bar.parentElement.querySelector('title') && bar.getBoundingClientRect().width > 0)
    .map(bar => { bar.scrollIntoView({block: 'center'}); const box = bar.getBoundingClientRect();
      const hit = document.elementFromPoint(box.x + box.width / 3, box.y + box.height / 2);
      return {y: box.y + scrollY, hover: hit.closest('g').querySelector('title')?.textContent ?? 'nothing'}; })
    .sort((a, b) => a.y - b.y);
  const seen = document.createElement('pre'); seen.id = 'seen';
  seen.textContent = JSON.stringify({
    bars: bars.map(bar => bar.hover), overflow: document.documentElement.scrollWidth > innerWidth,
    paper: getComputedStyle(document.body).backgroundColor});
  document.body.append(seen); });</script>";

fn pqbench(folder: &Path, args: &[&str]) -> Output {
    Command::new(PQBENCH).args(args).current_dir(folder).env_remove("PQBENCH_CPU").output().unwrap()
}

/// Opens `page` and returns what the probe saw and what the browser complained about.
fn look(browser: &str, page: &Path, profile: &Path, width: u32) -> (Value, String) {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains("CONSOLE")).collect();
    let seen = dom.split_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (seen, _) =
        seen.unwrap_or_else(|| panic!("the probe did not run: {}", String::from_utf8_lossy(&output.stderr)));
    (serde_json::from_str(&seen.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")).unwrap(), complaints)
}

#[test]
fn the_page_shows_what_the_table_says() {
    let is_there =
        |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no chromium");
        println!("skipped: no chromium");
        return;
    };
    let folder = TempDir::new().unwrap();
    let small = ["--num-base", "2k", "--queries", "10", "--max-time", "0.5", "--sizes", "500,2k", "--save", "run"];
    assert!(pqbench(folder.path(), &small).status.success());
    assert!(pqbench(folder.path(), &["report", "run", "-o", "run.html"]).status.success());
    let run: Value = serde_json::from_slice(&fs::read(folder.path().join("runs/run.json")).unwrap()).unwrap();
    let in_table: Vec<&str> = run["variants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|variant| variant["status"] == "ok")
        .map(|variant| variant["name"].as_str().unwrap())
        .collect();

    let page = folder.path().join("probed.html");
    let text = fs::read_to_string(folder.path().join("run.html")).unwrap();
    fs::write(&page, text.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    for width in [1200, 500] {
        let (seen, complaints) = look(browser, &page, &folder.path().join(format!("profile-{width}")), width);
        assert_eq!(complaints, "", "at {width}");
        let bars: Vec<&str> = seen["bars"].as_array().unwrap().iter().map(|bar| bar.as_str().unwrap()).collect();
        assert_eq!(bars.len(), in_table.len(), "at {width}: {bars:?}");
        for (bar, name) in bars.iter().zip(&in_table) {
            assert!(bar.starts_with(&format!("{name}: ")) && bar.contains("a query"), "at {width}: {bars:?}");
        }
        assert_eq!(seen["overflow"], false, "at {width} the page is wider than the window");
    }
}
