"""The page, in a real browser: rows 21, 22 and 25 of the lectures step by step."""

import itertools
import json
import os
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from funcnn.graph import trace
from funcnn.graph.page.arrays import drawn, number, text
from funcnn.graph.page.listing import listing
from funcnn.graph.page.sentences import plain, steps_of
from funcnn.graph.places import Place

pytest.importorskip("igraph", reason="the page's drawing needs igraph: pip install 'funcnn[graph]'")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: funcnn[dev]")


def a_program(name, *others):
    found = next(filter(None, map(shutil.which, (name, *others))), None)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed: apt-get install {name}")
    return found


FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, once for all tests; it asks nothing of any network."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = a_program("chromium", "chromium-browser", "google-chrome")
    service = Service(a_program("chromedriver", "chromium-driver"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SE_OFFLINE", "true")
        environment.setenv("SE_AVOID_STATS", "true")
        driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a graph's page; afterwards: no errors, and nothing was fetched."""

    def open_page(graph, name="page.html"):
        (tmp_path / name).write_text(graph.to_html(), encoding="utf-8")
        browser.get((tmp_path / name).as_uri())
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


SEEN = """
const texts = (selector, within = document) =>
  [...within.querySelectorAll(selector)].map((part) => part.textContent.trim());
const number = (text) => [...text.childNodes].find((n) => n.nodeType === Node.TEXT_NODE).data;
const shown = (kind) => [...document.querySelectorAll(`g.shown:not(.later) .${kind}`)].map((part) =>
  part.tagName === 'text' ? number(part) : texts('.cell-number', part.parentNode).join(' '));
return {
  phase: document.getElementById('phase').textContent,
  says: texts('#sentence p:not(.rule)'),
  rules: texts('#sentence p.rule'),
  values: shown('value'),
  gradients: shown('gradient'),
  line: texts('#program tr.now td:last-child'),
};
"""


def seen(browser):
    return browser.execute_script(SEEN)


def press(browser, key):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser, duration=0).send_keys(key).perform()


def click(browser, name):
    browser.execute_script("document.getElementById(arguments[0]).click()", name)


def keys():
    from selenium.webdriver.common.keys import Keys

    return Keys


def walked(browser):
    """All that is seen: step by step on by the button, and the same back by the key."""
    there = [seen(browser)]
    for _ in range(int(browser.execute_script("return document.getElementById('slider').max"))):
        click(browser, "next")
        there.append(seen(browser))
    assert browser.execute_script("return document.getElementById('next').ariaDisabled") == "true"
    back = [there[-1]]
    for _ in there[1:]:
        press(browser, keys().ARROW_LEFT)
        back.append(seen(browser))
    assert back[::-1] == there
    return there


def product_of_sum(x, y, z):
    q = x + y
    return q * z


def branches(a, b):
    c = a + b
    return a * c


def sigmoid(w0, x0, w1, x1, w2):
    linear = w0 * x0 + w1 * x1 + w2
    return 1 / (1 + jnp.exp(-linear))


def relu(x):
    return jax.nn.relu(x)


def told(steps):
    return [step["says"] for step in steps]


def grown(steps, kind):
    """What numbers each step adds to those that are seen; none ever go."""
    added = []
    for before, after in itertools.pairwise(steps):
        rest = list(after[kind])
        for written in before[kind]:
            rest.remove(written)
        added.append(sorted(rest))
    return added


def test_row_21_step_by_step(opened):
    """(x + y)z at (−2, 5, −4): −12, gradient (−4, −4, 3)."""
    steps = walked(opened(trace(product_of_sum)(-2.0, 5.0, -4.0)))
    assert told(steps) == [
        ["Inputs: x = −2, y = 5, z = −4"],
        ["+ of x and y: −2 + 5 = 3"],
        ["× of + and z: 3 × (−4) = −12"],
        ["The backward pass begins with the gradient of the output, ×: 1"],
        ["× → +: 1 × (−4) = −4", "× → z: 1 × 3 = 3"],
        ["+ → x: −4 × 1 = −4", "+ → y: −4 × 1 = −4"],
    ]
    assert sorted(steps[0]["values"]) == ["5", "−2", "−4"]
    assert grown(steps, "values") == [["3"], ["−12"], [], [], []]
    assert steps[0]["gradients"] == []
    assert grown(steps, "gradients") == [[], [], ["1"], ["3", "−4"], ["−4", "−4"]]
    assert [step["line"] for step in steps[1:]] == [
        ["q = x + y"],
        *[["return q * z"]] * 3,
        ["q = x + y"],
    ]
    assert [step["phase"] for step in steps] == [
        "Start",
        *["Forward pass"] * 2,
        *["Backward pass"] * 3,
    ]
    assert steps[4]["rules"][0] == "upstream × local = downstream"
    assert "× swaps" in steps[4]["rules"][1]
    assert "+ distributes" in steps[5]["rules"][1]


def test_row_21_at_another_point(opened):
    """At (2, 3, −2): (−2, −2, 5)."""
    browser = opened(trace(product_of_sum)(2.0, 3.0, -2.0))
    click(browser, "last")
    assert sorted(seen(browser)["gradients"]) == ["1", "5", "−2", "−2", "−2"]
    assert sorted(seen(browser)["values"]) == ["2", "3", "5", "−10", "−2"]


def test_row_21_where_branches_meet(opened):
    """d = a(a + b) at (4, 3): 28, gradient (11, 4), and 4 of c."""
    steps = walked(opened(trace(branches)(4.0, 3.0)))
    assert told(steps)[4:] == [
        ["× → a: 1 × 7 = 7", "× → +: 1 × 4 = 4"],
        ["+ → a: 4 × 1 = 4", "+ → b: 4 × 1 = 4"],
        ["a: 4 + 7 = 11: copy adds"],
    ]
    assert grown(steps, "gradients")[2:] == [["1"], ["4", "7"], ["4", "4"], ["Σ 11"]]
    assert steps[-1]["line"] == []


def test_row_22_step_by_step(opened):
    """The sigmoid's graph, with −0.53, −0.53, −0.20, 0.20 along the way."""
    steps = walked(opened(trace(sigmoid)(2.0, -1.0, -3.0, -2.0, -3.0)))
    assert told(steps) == [
        ["Inputs: w0 = 2, x0 = −1, w1 = −3, x1 = −2, w2 = −3"],
        ["×₁ of w0 and x0: 2 × (−1) = −2"],
        ["×₂ of w1 and x1: −3 × (−2) = 6"],
        ["+₁ of ×₁ and ×₂: −2 + 6 = 4"],
        ["+₂ of +₁ and w2: 4 + (−3) = 1"],
        ["×−1 of +₂: 1 × (−1) = −1"],
        ["exp of ×−1: exp(−1) = 0.37"],
        ["+1 of exp: 0.37 + 1 = 1.37"],
        ["1/x of +1: 1/1.37 = 0.73"],
        ["The backward pass begins with the gradient of the output, 1/x: 1"],
        ["1/x → +1: 1 × (−0.53) = −0.53"],
        ["+1 → exp: −0.53 × 1 = −0.53"],
        ["exp → ×−1: −0.53 × 0.37 = −0.20"],
        ["×−1 → +₂: −0.20 × (−1) = 0.20"],
        ["+₂ → +₁: 0.20 × 1 = 0.20", "+₂ → w2: 0.20 × 1 = 0.20"],
        ["+₁ → ×₁: 0.20 × 1 = 0.20", "+₁ → ×₂: 0.20 × 1 = 0.20"],
        ["×₂ → w1: 0.20 × (−2) = −0.39", "×₂ → x1: 0.20 × (−3) = −0.59"],
        ["×₁ → w0: 0.20 × (−1) = −0.20", "×₁ → x0: 0.20 × 2 = 0.39"],
    ]
    assert sorted(steps[0]["values"]) == sorted(["2", "−1", "−3", "−2", "−3"])
    forward = [["−2"], ["6"], ["4"], ["1"], ["−1"], ["0.37"], ["1.37"], ["0.73"]]
    assert grown(steps, "values") == [*forward, *[[]] * 9]
    back = [["1"], ["−0.53"], ["−0.53"], ["−0.20"], ["0.20"], ["0.20"] * 2, ["0.20"] * 2]
    last = [["−0.39", "−0.59"], ["0.39", "−0.20"]]
    assert grown(steps, "gradients") == [*[[]] * 8, *back, *last]
    lines = {"linear = w0 * x0 + w1 * x1 + w2": (1, 2, 3, 4, 14, 15, 16, 17)}
    lines["return 1 / (1 + jnp.exp(-linear))"] = range(5, 14)
    for line, at in lines.items():
        assert all(steps[i]["line"] == [line] for i in at)


def test_several_outputs_each_begin_with_their_gradient(opened):
    browser = opened(trace(lambda x: (x * 2, x * 3, x))(2.0))
    steps = walked(browser)
    assert told(steps)[3] == ["The backward pass begins with the gradient of output[1], ×3: 1"]
    assert told(steps)[5] == ["The backward pass begins with the gradient of output[0], ×2: 1"]
    assert told(steps)[7] == ["x, an output itself: 1 + 2 + 3 = 6: copy adds"]
    assert sorted(steps[-1]["gradients"]) == ["1", "1", "1", "2", "3", "Σ 6"]


def test_row_22_as_one_gate(opened):
    """1 × 0.2 = 0.2, from the same input; the gate can be opened."""
    gate = lambda z: jax.nn.sigmoid(z)
    steps = walked(opened(trace(gate)(1.0)))
    assert told(steps)[1:] == [
        ["sigmoid of z: sigmoid(1) = 0.73"],
        ["The backward pass begins with the gradient of the output, sigmoid: 1"],
        ["sigmoid → z: 1 × 0.20 = 0.20"],
    ]


def test_row_25_with_heat_maps(opened):
    """ReLU at (1, −2, 3, −1), upstream (4, −1, 5, 9): (4, 0, 5, 0)."""
    graph = trace(relu, cotangent=jnp.array([4.0, -1, 5, 9]))(jnp.array([1.0, -2, 3, -1]))
    browser = opened(graph)
    steps = walked(browser)
    assert told(steps) == [
        ["Inputs: x = [1, −2, 3, −1]"],
        ["relu of x: relu([1, −2, 3, −1]) = [1, 0, 3, 0]"],
        ["The backward pass begins with the gradient of the output, relu: [4, −1, 5, 9]"],
        ["relu → x: [4, −1, 5, 9] × [1, 0, 1, 0] = [4, 0, 5, 0]"],
    ]
    assert steps[-1]["rules"][0] == "upstream × local = downstream, element by element"
    assert steps[0]["values"] == ["1 −2 3 −1"]
    assert grown(steps, "values") == [["1 0 3 0"], [], []]
    assert grown(steps, "gradients") == [[], ["4 −1 5 9"], ["4 0 5 0"]]
    click(browser, "last")
    cards = browser.execute_script(
        "return [...document.querySelectorAll('#arrays figure')].map((f) => "
        "[f.innerText.replace(/\\s+/g, ' '), f.querySelector('canvas').width, "
        "f.querySelector('canvas').ariaLabel, [...f.querySelector('canvas').getContext('2d')"
        ".getImageData(0, 0, 4, 1).data].filter((_, i) => i % 4 === 3)])"
    )
    assert [card[0].strip() for card in cards] == [
        "upstream (4,) −1 … 9",
        "local (4,) 0 … 1",
        "downstream, to x (4,) 0 … 5",
    ]
    assert cards[2][1:3] == [4, "downstream, to x: heat map, shape (4,), float32, 0 … 5"]
    solid = cards[2][3]  # how much of its colour each cell has
    assert solid[1] == solid[3] == 0 < solid[0] < solid[2]


def two_layers(params, x):
    h = jnp.tanh(x @ params["W1"] + params["b1"])
    return jnp.sum((h @ params["W2"]) ** 2)


@pytest.fixture(scope="module")
def network():
    params = {"W1": jnp.ones((3, 7)), "b1": jnp.arange(7.0), "W2": jnp.full((7, 2), -0.5)}
    return trace(two_layers)(params, jnp.eye(5, 3))


def test_buttons_and_keys(opened, network):
    browser = opened(network)
    at = lambda: int(browser.execute_script("return document.getElementById('slider').value"))
    last = int(browser.execute_script("return document.getElementById('slider').max"))
    expected = [step.phase for step in steps_of(network)]
    forward = len(expected) - 1 - expected[::-1].index("forward")
    assert last == len(expected) - 1
    for key, step in [
        (keys().END, last),
        (keys().HOME, 0),
        (keys().ARROW_RIGHT, 1),
        ("f", forward),
        ("b", last),
        (keys().ARROW_LEFT, last - 1),
    ]:
        press(browser, key)
        assert at() == step
    for button, step in [("first", 0), ("next", 1), ("forward", forward), ("backward", last)]:
        click(browser, button)
        assert at() == step
    click(browser, "next")
    assert at() == last  # there is none
    click(browser, "play")  # from the end it begins again
    assert at() == 0
    named = lambda: browser.execute_script("return document.getElementById('play').ariaLabel")
    assert named() == "Pause"
    press(browser, keys().ARROW_RIGHT)
    assert (at(), named()) == (1, "Play")


def test_what_a_node_is_shows_where_it_has_the_focus(opened, network):
    browser = opened(network)
    browser.execute_script("document.querySelector('.node').focus()")
    tip = "const t = document.getElementById('tip'); return t.hidden ? null : t.innerText"
    press(browser, keys().ARROW_DOWN)
    press(browser, keys().ARROW_DOWN)
    assert "params['b1']" in browser.execute_script(tip)
    assert "float32 (7,)" in browser.execute_script(tip)
    assert browser.execute_script("return document.querySelectorAll('#tip canvas').length") == 1
    press(browser, keys().ARROW_UP)
    assert "float32 (7, 2)" in browser.execute_script(tip)
    press(browser, keys().ESCAPE)
    assert browser.execute_script(tip) is None


def test_it_can_be_heard(opened, network):
    """Everything that can be pressed has a name, and what happens is said."""
    browser = opened(network)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    value = lambda node, key: node.get(key, {}).get("value")
    named = [(value(n, "role"), value(n, "name")) for n in tree if not n["ignored"]]
    buttons = [name for role, name in named if role == "button"]
    assert buttons[:7] == [
        *("First step", "One step back", "Play", "One step on", "Last step"),
        *("Forward pass", "Backward pass"),
    ]
    assert all(buttons)
    assert ("slider", "Step") in named
    assert ("group", "two_layers") in named
    nodes = [name for role, name in named if role in ("image", "img")]
    assert any("tanh, what tanh, gives float32 (5, 7)" in (name or "") for name in nodes)
    said = browser.execute_script("return document.getElementById('sentence').ariaLive")
    assert said == "polite"
    assert browser.execute_script("return document.documentElement.lang") == "en"
    click(browser, "next")
    assert browser.execute_script(
        "return document.querySelector('#program tr[aria-current=true]').innerText.trim()"
    ).endswith('h = jnp.tanh(x @ params["W1"] + params["b1"])')


def test_tab_comes_to_all_and_is_seen(opened, network):
    browser = opened(network)
    focused = """const e = document.activeElement;
    return [e.id || e.getAttribute('class') || 'end', getComputedStyle(e).outlineStyle]"""
    order = []
    while len(order) < 40 and "end" not in dict(order):
        press(browser, keys().TAB)
        order.append(browser.execute_script(focused))
    names = [name for name, _ in order]
    assert names.index("next") < names.index("slider") < names.index("node input")
    assert names.index("node input") < names.index("program") < names.index("show-all")
    assert all(style == "solid" for name, style in order if name not in ("node input", "end"))


def emulate(browser, **media):
    features = [{"name": f"prefers-{k.replace('_', '-')}", "value": v} for k, v in media.items()]
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "media": media.pop("media", ""),
            "features": [f for f in features if "media" not in f["name"]],
        },
    )


@pytest.fixture
def emulated(browser):
    yield lambda **media: emulate(browser, **media)
    emulate(browser)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


LUMINANCE = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const light = (colour) => {
  canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const style = (s) => getComputedStyle(document.querySelector(s));
const paper = light(style('body').backgroundColor);
const contrast = (selector) => {
  const [dark, bright] = [paper, light(style(selector).color)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
return [paper, ...['body', '.legend', 'span.value', 'span.gradient'].map(contrast)];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(opened, network, emulated, scheme):
    browser = opened(network)
    emulated(color_scheme=scheme)
    paper, *contrasts = browser.execute_script(LUMINANCE)
    assert (paper > 0.9) if scheme == "light" else (paper < 0.05)
    assert min(contrasts) >= 4.5  # WCAG AA


def test_on_paper_every_number_is_there(opened, network, emulated):
    browser = opened(network)
    hidden = (
        "return [...document.querySelectorAll('svg g.shown')].filter((g) => "
        "getComputedStyle(g).visibility === 'hidden').length"
    )
    shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert browser.execute_script(hidden) > 0
    assert browser.execute_script(shown, "#every") == "none"
    emulated(media="print")
    assert browser.execute_script(hidden) == 0
    assert browser.execute_script(shown, "#controls") == "none"
    assert browser.execute_script(shown, "#every") == "block"
    items = browser.execute_script(
        "return [...document.querySelectorAll('#every li')].map((li) => li.innerText)"
    )
    said = ["\n".join(map(plain, step.sentences)) for step in steps_of(network)]
    assert [re.sub(r"\s*\n\s*", "\n", item).strip() for item in items] == said


def test_on_a_phone_nothing_sticks_out(opened, network):
    browser = opened(network)
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.refresh()
        click(browser, "last")
        wide = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth, "
            "document.getElementById('graph').scrollWidth]"
        )
        below = browser.execute_script(
            "return document.getElementById('step').getBoundingClientRect().top >= "
            "document.getElementById('graph').getBoundingClientRect().bottom"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide[0] == wide[1] == 360
    assert wide[2] > 360  # the graph alone is scrolled
    assert below


def scoped(x):
    with jax.named_scope("first"):
        x = jnp.sin(x) * x
    with jax.named_scope("second"), jax.named_scope("inner"):
        return jnp.cos(x) * x


def test_less_and_more_detail(opened):
    browser = opened(trace(scoped)(0.5).fold(depth=0))
    labels = "return [...document.querySelectorAll('.node .label')].map((l) => l.textContent)"
    folded = browser.execute_script(labels)
    assert {"first", "second"} <= set(folded)
    click(browser, "last")
    click(browser, "more")
    assert "inner" in browser.execute_script(labels)
    assert seen(browser)["phase"] == "Backward pass"
    click(browser, "more")
    assert not {"first", "second", "inner"} & set(browser.execute_script(labels))
    scopes = "return [...document.querySelectorAll('.scope-name')].map((s) => s.textContent)"
    assert set(browser.execute_script(scopes)) == {"first", "second", "inner"}
    click(browser, "less")
    click(browser, "less")
    assert browser.execute_script(labels) == folded


def test_a_loop_unfolded_says_each_iteration():
    power = lambda a, x: lax.scan(lambda c, x: (a * c + x, None), 0.0, x)[0]
    graph = trace(power)(0.5, jnp.array([1.0, 2.0])).unfold("scan")
    said = [plain(line) for step in steps_of(graph) for line in step.sentences]
    assert "+₂ of ×₂ and [1]: 0.50 + 2 = 2.50" in said
    assert "a: 0 + 1 = 1: copy adds" in said


HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


def test_names_are_no_markup(opened):
    def fun(params):
        text = "</script><script>document.title = 'broken'</script><!--"  # in the listing
        return jnp.sin(params[HOSTILE]) if text else None

    fun.__name__ = HOSTILE
    graph = trace(fun)({HOSTILE: jnp.array(0.5)})
    browser = opened(graph)
    assert browser.title == HOSTILE
    click(browser, "last")
    inside = "return [...document.querySelectorAll('body *')].map((e) => e.localName)"
    elements = browser.execute_script(inside)
    assert elements.count("script") == 2
    assert "img" not in elements
    assert seen(browser)["line"][0].startswith("return jnp.sin(params[HOSTILE])")
    listed = browser.execute_script("return document.getElementById('program').innerText")
    assert "<!--" in listed


def test_a_page_is_one_file(network):
    html = network.to_html()
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:|//)", html)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", html)
    [data] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', html)
    assert json.loads(data)["views"]


def test_shapes_alone_have_a_forward_pass(opened):
    graph = trace(lambda x: jnp.sin(x).sum())(jax.ShapeDtypeStruct((3, 2), jnp.float32))
    browser = opened(graph)
    click(browser, "last")
    assert seen(browser)["phase"] == "Forward pass"
    assert seen(browser)["says"] == ["sum of sin: shape (3, 2) → shape ()"]
    assert seen(browser)["values"] == ["3×2", "3×2", "scalar"]


# without a browser


def test_heat_maps():
    found = drawn(np.array([[0.0, 2.0], [-4.0, np.nan], [1.0, 0.5]]))
    assert (found["rows"], found["columns"]) == (3, 2)
    assert found["cells"] == [0, 50, -100, None, 25, 12]
    assert found["range"] == "−4 … 2, 1 not finite"
    large = np.zeros((100, 300))
    large[57, 211] = -3
    found = drawn(large)
    assert (found["rows"], found["columns"]) == (32, 32)
    assert found["cells"].count(-100) == 1  # the one that counts is not lost
    # blocks of 4 rows, then of 3; of 10 columns, then of 9
    assert found["cells"].index(-100) == (4 + (57 - 16) // 3) * 32 + 12 + (211 - 120) // 9
    assert "full" not in found


@pytest.mark.parametrize(
    ("shape", "size", "note"),
    [
        ((2, 5, 5, 4), (11, 11), "channels side by side, of the first example of 2"),
        ((3, 3, 2, 9), (11, 11), "filters side by side, of the first input channel of 2"),
        ((4, 3, 2), (3, 2), "the first of 4"),
        ((0, 3), None, None),
        ((), None, None),
    ],
)
def test_heat_maps_of_many_axes(shape, size, note):
    found = drawn(np.ones(shape, np.float32))
    assert found.get("note") == note
    assert (size is None) == ("cells" not in found)
    if size:
        assert (found["rows"], found["columns"]) == size


def test_arrays_of_all_kinds():
    assert text(jnp.array([True, False])) == "[True, False]"
    assert text(np.array(1 - 2j)) == "1 − 2i"
    assert drawn(np.float32([0.1]))["full"] == "[0.1]"
    assert text(jax.random.key(0)) == "()"
    assert drawn(jnp.array([1, -2], jnp.bfloat16))["cells"] == [50, -100]
    assert drawn(np.array([3 + 4j, 0]))["cells"] == [100, 0]
    assert number(-0.0) == "0"
    assert number(-np.inf) == "−∞"


def test_a_listing_holds_the_functions_that_ran():
    file, line = __file__, sigmoid.__code__.co_firstlineno
    places = [
        Place(file, line + 2, "sigmoid"),
        Place(file, product_of_sum.__code__.co_firstlineno + 1, "product_of_sum"),
    ]
    [found] = listing(places)
    assert found["name"] == os.path.basename(__file__)
    lines = [text for _, text in found["lines"]]
    assert lines[0] == "def product_of_sum(x, y, z):"
    assert lines[-1] == "    return 1 / (1 + jnp.exp(-linear))"
    assert lines.count("") == 1  # where other lines are left out
    assert listing([Place("/nowhere/at_all.py", 3, "fun")]) == []
    assert listing([Place("", 0, "")]) == []
