"""``vissum evaluate coherency``: do the images of a summary have more in common than those of its class?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stages import RunFolder
from vissum_jax.cli.weights import have_default_weights


def coherency(
    run: RunFolder,
    /,
    *,
    tagger: Annotated[str | None, optional("NAME")] = None,
    tagger_weights: Annotated[Path | None, optional("FILE")] = None,
    vocabulary: Annotated[Path | None, optional("FILE")] = None,
    crops: Flag = False,
    draws: int = 100,
    seed: int = 0,
    json: Flag = False,
) -> int:
    """Compare the tags of a summary's images with those of random images of its class (VS figure 4).

    muS is the mean Jaccard distance between the tags of two images of a summary, muR that of random sets of equal
    size of the class. Tags are the nouns of the 8 most probable ImageNet labels of a second network, synonyms fused
    through WordNet. Writes RUN/evaluation/coherency.json, .md and .png (with --crops coherency_crops).

    For instance:
      vissum evaluate coherency runs/photos
      vissum evaluate coherency runs/photos --tagger googlenet-bvlc --tagger-weights bvlc_googlenet.npz --crops
      vissum evaluate coherency runs/photos --tagger open-clip:ViT-B-32/openai --vocabulary nouns.txt

    Args:
        run: Folder of a run whose summaries are done.
        tagger: A network of `vissum models list`, my_package.my_module:function, or open-clip:MODEL/PRETRAINED (the
            [open-clip] extra). By default efficientnet-lite0, or -lite1 where the run explains that.
        tagger_weights: Weights of that network; by default those that come with a package or a download.
        vocabulary: Nouns that an open-vocabulary tagger chooses from, one a line.
        crops: Tag the parts instead of the whole photographs.
        draws: Random sets; at least 10.
        seed: Of the draws.
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.analysis.coherency import CoherencyConfig
        from vissum_jax.pipeline import evaluate_coherency as measure
        from vissum_jax.pipeline.finished import open_finished
        from vissum_jax.pipeline.splits import read_lines
        from vissum_jax.pipeline.taggers import load_tagger

        config = measure.EvaluateCoherencyConfig(measure=CoherencyConfig(draws=draws, seed=seed))
        finished = open_finished(run)
        name = tagger or measure.default_tagger(finished)
        have_default_weights(name, tagger_weights)
        nouns = None if vocabulary is None else read_lines(vocabulary)
        made = load_tagger(name, weights=tagger_weights, vocabulary=nouns)
        measure.check_tagger(made, finished)
    with running():
        values = measure.evaluate_coherency(finished, made, make_progress(), crops=crops, config=config)
    if json:
        print_json({**values, "seconds": round(time.perf_counter() - began, 1)})
        return DONE
    print(measure.coherency_markdown(values), end="")
    return DONE
