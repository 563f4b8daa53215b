from dataclasses import replace

from vissum_jax.study.questions import question, questions_of, study_id
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, Member, Summary

MEMBER = Member(image=3, box=(1, 2, 3, 4), rank=0, similarity=1.0, ssim=0.5, exemplar=True, kept=True)
KEPT = Summary(number=0, members=(MEMBER, replace(MEMBER, image=4, rank=1, exemplar=False)), ssim=0.5, kept=True)
RESULT = ClassSummaries(
    class_index=7,
    summaries=(KEPT, replace(KEPT, number=1, kept=False)),
    diagnostics=ClusterDiagnostics(images=2, proposals=2, clustered=2),
)


def test_a_question_for_each_kept_summary():
    assert questions_of(RESULT) == (question(7, 0),) == ("7-0",)


def test_the_id_of_a_study_follows_what_is_shown():
    same = study_id("f00", [RESULT])
    assert len(same) == 16
    other_box = replace(KEPT, members=(replace(MEMBER, box=(1, 2, 3, 5)), *KEPT.members[1:]))
    dropped = replace(RESULT.summaries[1], ssim=0.1)
    assert study_id("f00", [replace(RESULT, summaries=(KEPT, dropped))]) == same
    assert len({same, study_id("f01", [RESULT]), study_id("f00", [replace(RESULT, summaries=(other_box,))])}) == 3
