from vissum_jax.study.answers import Answers
from vissum_jax.study.markdown import study_markdown
from vissum_jax.study.score import score

HOSTILE = "<script>|`x`|\x1b[2J [a](b)"


def test_tables_show_names_and_never_what_they_could_do():
    answers = [
        Answers(file="a", study="0", participant=name, nouns={(7, 0): nouns, (8, 0): ()})
        for name, nouns in (("Ann", ("ear", "中 <img>")), ("Bob", ("ear",)))
    ]
    text = study_markdown(score(answers, chance_pairs=10, seed=0), {7: HOSTILE})
    lines = text.splitlines()
    assert lines[0].startswith("2 participants, 2 summaries: muU 0.250 (named 0.500, chance ")
    assert lines[0].endswith("no idea 50 %.")
    assert r"| &lt;script>\|\`x\`\|\\x1b\[2J \[a\](b) | 0 | ear | 100 % | 中 img 1 | 2 | 0 | 0.500 |" in lines
    assert "| class 8 | 0 | - | 0 % |  | 2 | 2 | 0.000 |" in lines
    assert "\x1b" not in text
    assert "<" not in text
