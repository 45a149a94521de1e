"""Every layout on a miniature of its tree, made here of empty files, since names are enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bonafide.bench.layouts import LAYOUTS, index, relative
from bonafide.bench.manifest import load, write_manifest
from bonafide.bench.masks import marked
from bonafide.bench.protocol import load_protocol
from bonafide.bench.samples import Sample
from bonafide.errors import InvalidInput
from bonafide.types import Question

Grow = Callable[[str], None]


@pytest.fixture
def grow(tmp_path: Path) -> Grow:
    """Make the files named in a text, one a line."""

    def make(names: str) -> None:
        for name in filter(None, (line.strip() for line in names.splitlines())):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


def table(folder: Path, layout: str) -> dict[str, Sample]:
    samples = index(folder, layout)
    assert [sample.path for sample in samples] == sorted(sample.path for sample in samples)
    assert {sample.question for sample in samples} == {LAYOUTS[layout].question}
    for sample in samples:
        assert (folder / sample.path).is_file()
        assert sample.mask is None or (folder / sample.mask).is_file()
    return {sample.path: sample for sample in samples}


def test_every_layout_is_tested_here() -> None:
    source = Path(__file__).read_text("utf-8")
    for name, layout in LAYOUTS.items():
        assert f'table(tmp_path, "{name}")' in source
        assert layout.question in set(Question)
        assert layout.title
        assert layout.tree


def test_genimage(tmp_path: Path, grow: Grow) -> None:
    grow("""
        Midjourney/train/ai/1_midjourney_8.png
        Midjourney/train/nature/n01440764_10026.JPEG
        Midjourney/val/nature/ILSVRC2012_val_00000001.JPEG
        stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/val/ai/000_sdv4_00001.png
        Midjourney/val/readme.txt
        Midjourney/val/ai/.hidden.png
    """)
    found = table(tmp_path, "genimage")
    assert len(found) == 4
    fake = found["stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/val/ai/000_sdv4_00001.png"]
    assert (fake.label, fake.generator, fake.split) == (
        "generated",
        "stable_diffusion_v_1_4",
        "test",
    )
    real = found["Midjourney/train/nature/n01440764_10026.JPEG"]
    assert (real.label, real.generator, real.group, real.split) == (
        "bona_fide",
        "",
        "Midjourney",
        "train",
    )


def test_forensynths(tmp_path: Path, grow: Grow) -> None:
    grow("""
        test/progan/train/0_real/1.png
        test/progan/cat/1_fake/2.png
        test/biggan/1_fake/3.png
        train/airplane/1_fake/4.png
        progan_val/car/0_real/5.png
    """)
    found = table(tmp_path, "forensynths")
    assert found["test/progan/train/0_real/1.png"].split == "test"
    assert found["test/progan/train/0_real/1.png"].extra == {"class": "train"}
    assert found["test/biggan/1_fake/3.png"].generator == "biggan"
    assert found["train/airplane/1_fake/4.png"].generator == "progan"
    assert found["train/airplane/1_fake/4.png"].split == "train"
    assert found["progan_val/car/0_real/5.png"].split == "calibrate"
    assert found["progan_val/car/0_real/5.png"].group == "progan"


def test_universalfakedetect(tmp_path: Path, grow: Grow) -> None:
    grow("""
        laion/0_real/1.png
        ldm_200/1_fake/1.png
        dalle/1_fake/1.png
    """)
    found = table(tmp_path, "universalfakedetect")
    assert found["ldm_200/1_fake/1.png"].generator == "ldm_200"
    assert found["laion/0_real/1.png"].label == "bona_fide"
    assert found["laion/0_real/1.png"].group == "laion"


def test_aigcdetectbenchmark(tmp_path: Path, grow: Grow) -> None:
    grow("""
        test/Midjourney/0_real/1.JPEG
        test/Midjourney/1_fake/1.png
        test/stylegan/bedroom/1_fake/1.png
    """)
    found = table(tmp_path, "aigcdetectbenchmark")
    assert found["test/stylegan/bedroom/1_fake/1.png"].generator == "stylegan"
    assert {one.split for one in found.values()} == {"test"}


def test_chameleon(tmp_path: Path, grow: Grow) -> None:
    grow("""
        test/0_real/a.jpg
        test/1_fake/b.jpg
    """)
    found = table(tmp_path, "chameleon")
    assert found["test/1_fake/b.jpg"].label == "generated"
    assert found["test/1_fake/b.jpg"].cluster != found["test/0_real/a.jpg"].cluster


def test_wildrf(tmp_path: Path, grow: Grow) -> None:
    grow("""
        train/0_real/1.jpg
        val/1_fake/2.jpg
        test/twitter/1_fake/3.jpg
        test/facebook/0_real/4.jpg
    """)
    found = table(tmp_path, "wildrf")
    assert found["train/0_real/1.jpg"].group == "reddit"
    assert found["val/1_fake/2.jpg"].split == "calibrate"
    assert found["test/twitter/1_fake/3.jpg"].extra == {"platform": "twitter"}
    assert found["test/facebook/0_real/4.jpg"].label == "bona_fide"


def test_synthbuster(tmp_path: Path, grow: Grow) -> None:
    grow("""
        synthbuster/dalle3/r000da54ft.png
        synthbuster/firefly/r000da54ft.png
        RAISE-1k/r000da54ft.TIF
        synthbuster/prompts.csv
    """)
    found = table(tmp_path, "synthbuster")
    assert found["synthbuster/dalle3/r000da54ft.png"].generator == "dalle3"
    assert found["RAISE-1k/r000da54ft.TIF"].label == "bona_fide"
    assert {one.group for one in found.values()} == {"r000da54ft"}


def test_drct2m(tmp_path: Path, grow: Grow) -> None:
    grow("""
        DRCT-2M/stable-diffusion-v1-4/val2017/000000000139.png
        DRCT-2M/sdxl-turbo/train2017/000000000009.png
        MSCOCO/val2017/000000000139.jpg
        DR/DRCT-2M/stable-diffusion-v1-4/full_inpainting/train2017/000000000009.png
    """)
    found = table(tmp_path, "drct2m")
    fake = found["DRCT-2M/stable-diffusion-v1-4/val2017/000000000139.png"]
    assert (fake.generator, fake.group, fake.split) == ("stable-diffusion-v1-4", "139", "test")
    assert found["MSCOCO/val2017/000000000139.jpg"].label == "bona_fide"
    assert found["MSCOCO/val2017/000000000139.jpg"].group == "139"
    generators = {one.generator for one in found.values()}
    assert "stable-diffusion-v1-4/full_inpainting" in generators


def test_communityforensics(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "data" / "publicEval").mkdir(parents=True)
    rows = {
        "image_name": ["a.png", "../../b.png", "c.exe"],
        "image_data": [b"one", b"two", b"three"],
        "model_name": ["stabilityai/x", "", "stabilityai/x"],
        "label": [1, 0, 1],
        "real_source": [None, "coco", None],
    }
    parquet.write_table(pyarrow.table(rows), tmp_path / "data" / "publicEval" / "0.parquet")
    found = table(tmp_path, "communityforensics")
    samples = list(found.values())
    assert [sample.label for sample in samples] == ["generated", "bona_fide", "generated"]
    assert [(tmp_path / sample.path).read_bytes() for sample in samples] == [
        b"one",
        b"two",
        b"three",
    ]
    assert {sample.path.split("/")[0] for sample in samples} == {"unpacked"}
    assert samples[1].group == "coco"
    assert samples[0].split == "test"
    assert table(tmp_path, "communityforensics") == found


def test_genvideo(tmp_path: Path, grow: Grow) -> None:
    grow("""
        train/Fake/Pika/1.mp4
        train/Real/Youku/2.mp4
        Kinetics-400/clips/3.avi
        val/Sora/4.mp4
    """)
    found = table(tmp_path, "genvideo")
    assert found["train/Fake/Pika/1.mp4"].generator == "Pika"
    assert found["train/Real/Youku/2.mp4"].label == "bona_fide"
    assert found["Kinetics-400/clips/3.avi"].label == "bona_fide"
    assert found["val/Sora/4.mp4"].label == "generated"
    assert found["val/Sora/4.mp4"].split == "test"


def test_plain(tmp_path: Path, grow: Grow) -> None:
    grow("""
        real/1.jpg
        fake/flux/2.png
        sd15/fake/3.png
        test/Real/4.mp4
    """)
    found = table(tmp_path, "plain")
    assert found["real/1.jpg"].label == "bona_fide"
    assert found["fake/flux/2.png"].generator == "flux"
    assert found["sd15/fake/3.png"].generator == "sd15"
    assert found["test/Real/4.mp4"].split == "test"


def test_casia(tmp_path: Path, grow: Grow) -> None:
    grow("""
        CASIA2/Au/Au_ani_00001.jpg
        CASIA2/Au/Au_pla_00033.jpg
        CASIA2/Tp/Tp_D_CRN_M_N_pla00035_pla00033_10997.jpg
        CASIA2/Tp/Tp_S_NRN_S_N_pla00005_pla00005_10937.tif
        CASIA2/CASIA 2 Groundtruth/Tp_D_CRN_M_N_pla00035_pla00033_10997_gt.png
        CASIA1/Sp/Sp_D_NND_A_sec0056_sec0015_0282.jpg
        CASIA1/Tp/CM/Sp_S_NNN_A_ani0041_ani0041_0199.jpg
        CASIA1/groundtruth/CM/Sp_S_NNN_A_ani0041_ani0041_0199_gt.png
    """)
    found = table(tmp_path, "casia")
    splice = found["CASIA2/Tp/Tp_D_CRN_M_N_pla00035_pla00033_10997.jpg"]
    assert splice.label == "splice"
    assert splice.mask is not None
    assert splice.mask.endswith("10997_gt.png")
    assert splice.group == found["CASIA2/Au/Au_pla_00033.jpg"].group
    assert found["CASIA2/Au/Au_ani_00001.jpg"].label == "authentic"
    assert found["CASIA2/Au/Au_ani_00001.jpg"].group != splice.group
    moved = found["CASIA1/Tp/CM/Sp_S_NNN_A_ani0041_ani0041_0199.jpg"]
    assert (moved.label, moved.mask is not None) == ("copymove", True)
    assert found["CASIA2/Tp/Tp_S_NRN_S_N_pla00005_pla00005_10937.tif"].mask is None


def test_columbia(tmp_path: Path, grow: Grow) -> None:
    grow("""
        4cam_auth/canong3_02_sub_01.tif
        4cam_auth/edgemask/canong3_02_sub_01_edgemask.jpg
        4cam_splc/canong3_canonxt_sub_01.tif
        4cam_splc/edgemask/canong3_canonxt_sub_01_edgemask.jpg
    """)
    found = table(tmp_path, "columbia")
    assert len(found) == 2
    splice = found["4cam_splc/canong3_canonxt_sub_01.tif"]
    assert splice.mask == "4cam_splc/edgemask/canong3_canonxt_sub_01_edgemask.jpg"
    assert splice.extra == {"mask_marks": "green"}
    assert found["4cam_auth/canong3_02_sub_01.tif"].mask is None


def test_coverage(tmp_path: Path, grow: Grow) -> None:
    grow("""
        COVERAGE/image/1.tif
        COVERAGE/image/1t.tif
        COVERAGE/mask/1forged.tif
        COVERAGE/mask/1copy.tif
        COVERAGE/mask/1paste.tif
    """)
    found = table(tmp_path, "coverage")
    assert len(found) == 2
    assert found["COVERAGE/image/1.tif"].label == "authentic"
    assert found["COVERAGE/image/1t.tif"].mask == "COVERAGE/mask/1forged.tif"
    assert {one.group for one in found.values()} == {"1"}


def test_nist16(tmp_path: Path, grow: Grow) -> None:
    grow("""
        NC2016/probe/NC2016_0001.jpg
        NC2016/probe/NC2016_0002.jpg
        NC2016/world/NC2016_0003.jpg
        NC2016/mask/manip/NC2016_0001_m.png
    """)
    reference = tmp_path / "NC2016" / "reference" / "manipulation" / "NC2016-manipulation-ref.csv"
    reference.parent.mkdir(parents=True)
    reference.write_text(
        "TaskID|ProbeFileName|ProbeMaskFileName|BaseFileName|IsTarget"
        "|IsManipulationTypeRemoval|IsManipulationTypeSplice|IsManipulationTypeCopyClone\n"
        "m|probe/NC2016_0001.jpg|mask/manip/NC2016_0001_m.png|world/NC2016_0003.jpg|Y|N|Y|N\n"
        "m|probe/NC2016_0002.jpg|||N|||\n"
        "m|probe/NC2016_9999.jpg|||N|||\n"
    )
    found = table(tmp_path, "nist16")
    assert len(found) == 2
    splice = found["NC2016/probe/NC2016_0001.jpg"]
    assert (splice.label, splice.group) == ("splice", "NC2016_0003")
    assert splice.mask == "NC2016/mask/manip/NC2016_0001_m.png"
    assert splice.extra == {"mask_marks": "black"}
    assert found["NC2016/probe/NC2016_0002.jpg"].label == "authentic"


def test_imd2020(tmp_path: Path, grow: Grow) -> None:
    grow("""
        1a07yi/c8swtoq_0.jpg
        1a07yi/c8swtoq_0_mask.png
        1a07yi/1a07yi_orig.jpg
    """)
    found = table(tmp_path, "imd2020")
    assert found["1a07yi/c8swtoq_0.jpg"].mask == "1a07yi/c8swtoq_0_mask.png"
    assert found["1a07yi/1a07yi_orig.jpg"].label == "authentic"
    assert {one.group for one in found.values()} == {"1a07yi"}


def test_comofod(tmp_path: Path, grow: Grow) -> None:
    grow("""
        001_O.png
        001_F.png
        001_F_JC1.jpg
        001_O_JC1.jpg
        001_B.png
        001_M.png
    """)
    found = table(tmp_path, "comofod")
    assert len(found) == 4
    assert found["001_F_JC1.jpg"].mask == "001_B.png"
    assert found["001_F_JC1.jpg"].extra == {"processing": "JC1"}
    assert found["001_O.png"].mask is None


def test_faceforensics(tmp_path: Path, grow: Grow) -> None:
    grow("""
        original_sequences/youtube/c23/videos/000.mp4
        original_sequences/youtube/c23/videos/003.mp4
        original_sequences/actors/c23/videos/01__walking.mp4
        manipulated_sequences/Deepfakes/c23/videos/000_003.mp4
        manipulated_sequences/Deepfakes/c40/frames/000_003/0001.png
        manipulated_sequences/Deepfakes/c40/masks/000_003/0001.png
        manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking__ABC.mp4
    """)
    (tmp_path / "splits").mkdir()
    for name, pairs in (("train", [["000", "003"]]), ("val", [["5", "6"]]), ("test", [])):
        (tmp_path / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    found = table(tmp_path, "faceforensics")
    assert len(found) == 6
    fake = found["manipulated_sequences/Deepfakes/c40/frames/000_003/0001.png"]
    assert (fake.label, fake.generator, fake.split) == ("fake", "Deepfakes", "train")
    assert fake.mask == "manipulated_sequences/Deepfakes/c40/masks/000_003/0001.png"
    assert fake.extra == {"compression": "c40", "video": "000_003"}
    for original in ("000", "003"):
        real = found[f"original_sequences/youtube/c23/videos/{original}.mp4"]
        assert real.group == fake.group
        assert real.generator == ""
    actors = {one.group for path, one in found.items() if "walking" in path}
    assert actors == {"actor 01"}


def test_celebdf(tmp_path: Path, grow: Grow) -> None:
    grow("""
        Celeb-real/id0_0000.mp4
        Celeb-synthesis/videos/id0_id1_0000.mp4
        YouTube-real/frames/00170/000.png
        YouTube-real/landmarks/00170/000.png
    """)
    listed = "1 YouTube-real/00170.mp4\n1 Celeb-real/id0_0000.mp4\n"
    (tmp_path / "List_of_testing_videos.txt").write_text(listed)
    found = table(tmp_path, "celebdf")
    assert len(found) == 3
    fake = found["Celeb-synthesis/videos/id0_id1_0000.mp4"]
    assert (fake.label, fake.group, fake.split) == ("fake", "id0", "train")
    assert found["Celeb-real/id0_0000.mp4"].group == "id0"
    assert found["Celeb-real/id0_0000.mp4"].split == "test"
    assert found["YouTube-real/frames/00170/000.png"].split == "test"


def test_dfdc(tmp_path: Path, grow: Grow) -> None:
    grow("""
        dfdc_train_part_0/aaa.mp4
        dfdc_train_part_0/bbb.mp4
        dfdc_train_part_0/unlisted.mp4
        dfdc_train_part_0/frames/aaa/000.png
    """)
    rows = {
        "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
        "bbb.mp4": {"label": "REAL", "split": "train"},
    }
    (tmp_path / "dfdc_train_part_0" / "metadata.json").write_text(json.dumps(rows))
    found = table(tmp_path, "dfdc")
    assert len(found) == 3
    assert {one.group for one in found.values()} == {"bbb"}
    assert found["dfdc_train_part_0/frames/aaa/000.png"].label == "fake"
    assert found["dfdc_train_part_0/bbb.mp4"].label == "real"
    assert found["dfdc_train_part_0/aaa.mp4"].split == "train"


def test_df40(tmp_path: Path, grow: Grow) -> None:
    grow("""
        DF40/simswap/ff/frames/000_003/000.png
        DF40/simswap/cdf/id0_id1_0000/000.png
        DF40/heygen/real/clip1/000.png
        DF40/heygen/fake/clip2/000.png
        FaceForensics++/original_sequences/youtube/c23/frames/000/000.png
        Celeb-DF-v2/Celeb-real/frames/id0_0000/000.png
    """)
    found = table(tmp_path, "df40")
    fake = found["DF40/simswap/ff/frames/000_003/000.png"]
    assert (fake.label, fake.generator, fake.group) == ("fake", "simswap", "ff 000")
    real = found["FaceForensics++/original_sequences/youtube/c23/frames/000/000.png"]
    assert (real.label, real.group) == ("real", "ff 000")
    assert found["DF40/heygen/real/clip1/000.png"].label == "real"
    assert found["DF40/heygen/fake/clip2/000.png"].label == "fake"
    assert found["Celeb-DF-v2/Celeb-real/frames/id0_0000/000.png"].group == "cdf id0"
    assert found["DF40/simswap/cdf/id0_id1_0000/000.png"].group == "cdf id0"


def test_ocim(tmp_path: Path, grow: Grow) -> None:
    grow("""
        OULU-NPU/Train_files/1_1_01_1.avi
        OULU-NPU/Test_files/1_1_36_4.avi
        OULU-NPU/Dev_files/1_1_21_2/000.png
        CASIA-FASD/train_release/1/HR_1.avi
        CASIA-FASD/test_release/1/7.avi
        Replay-Attack/devel/attack/fixed/attack_print_client003_session01_highdef_photo_adverse.mov
        Replay-Attack/test/real/client009_session01_webcam_authenticate_adverse_1.mov
        MSU-MFSD/scene01/real/real_client001_android_SD_scene01.mp4
        MSU-MFSD/scene01/attack/attack_client001_android_SD_printed_photo_scene01.mp4
        MSU-MFSD/scene01/attack/attack_client001_android_SD_ipad_video_scene01.mp4
        elsewhere/1.avi
    """)
    found = table(tmp_path, "ocim")
    assert len(found) == 10
    kinds = {path: (one.label, one.group, one.split) for path, one in found.items()}
    assert kinds["OULU-NPU/Train_files/1_1_01_1.avi"] == ("live", "oulu 01", "train")
    assert kinds["OULU-NPU/Test_files/1_1_36_4.avi"] == ("replay", "oulu 36", "test")
    assert kinds["OULU-NPU/Dev_files/1_1_21_2/000.png"] == ("print", "oulu 21", "calibrate")
    assert kinds["CASIA-FASD/train_release/1/HR_1.avi"] == ("live", "casia train 1", "train")
    assert kinds["CASIA-FASD/test_release/1/7.avi"] == ("replay", "casia test 1", "test")
    replay = [value for path, value in kinds.items() if path.startswith("Replay")]
    assert replay == [("print", "replay 003", "calibrate"), ("live", "replay 009", "test")]
    msu = [value[0] for path, value in kinds.items() if path.startswith("MSU")]
    assert sorted(msu) == ["live", "print", "replay"]


def test_dgm4(tmp_path: Path, grow: Grow) -> None:
    grow("""
        origin/guardian/0001/001.jpg
        manipulation/simswap/002.jpg
    """)
    rows = [
        {"id": 1, "image": "DGM4/origin/guardian/0001/001.jpg", "text": "A calm day", "fake_cls":
         "orig", "fake_image_box": [], "fake_text_pos": []},
        {"id": 2, "image": "DGM4/manipulation/simswap/002.jpg", "text": "A man smiles in Rome",
         "fake_cls": "face_swap&text_attribute", "fake_image_box": [10, 20, 110, 220],
         "fake_text_pos": [2, 4]},
        {"id": 3, "image": "DGM4/origin/lost.jpg", "text": "Gone", "fake_cls": "orig"},
        {"id": 4, "image": "../secret.jpg", "text": "Gone", "fake_cls": "orig"},
    ]  # fmt: skip
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "val.json").write_text(json.dumps(rows), "utf-8")
    (tmp_path / "metadata" / "notes.json").write_text("{}", "utf-8")
    found = table(tmp_path, "dgm4")
    assert len(found) == 2
    changed = found["manipulation/simswap/002.jpg"]
    assert (changed.label, changed.split) == ("face_swap&text_attribute", "calibrate")
    assert dict(changed.extra) == {
        "id": "2",
        "caption": "A man smiles in Rome",
        "caption_words": "2 4",
        "caption_box": "10 20 100 200",
    }
    assert found["origin/guardian/0001/001.jpg"].label == "orig"
    (tmp_path / "metadata" / "val.json").write_text('["a.jpg"]', "utf-8")
    with pytest.raises(InvalidInput, match="no list of captions"):
        index(tmp_path, "dgm4")


def test_asvspoof5(tmp_path: Path, grow: Grow) -> None:
    grow("""
        flac_T/T_0000000000.flac
        flac_D/D_0000000001.flac
        flac_E_eval/E_0000000002.flac
    """)
    rows = {
        "train": "T_4850 T_0000000000 F - - - AC3 A05 spoof -",
        "dev.track_1": "D_0062 D_0000000001 M - - - - bonafide bonafide -",
        "eval.track_1": "E_1 E_0000000002 M C05 3 - AC1 A17 spoof -",
    }
    for part, row in rows.items():
        (tmp_path / f"ASVspoof5.{part}.tsv").write_text(f"{row}\n{row.split()[0]} absent\n")
    found = table(tmp_path, "asvspoof5")
    assert {(s.label, s.generator, s.split, s.value("codec")) for s in found.values()} == {
        ("synthetic_speech", "A05", "train", ""),
        ("bona_fide", "", "calibrate", ""),
        ("synthetic_speech", "A17", "test", "C05"),
    }


def test_asvspoof2021(tmp_path: Path, grow: Grow) -> None:
    grow("""
        ASVspoof2021_LA_eval/flac/LA_E_9332881.flac
        ASVspoof2021_LA_eval/flac/LA_E_0000001.flac
        keys/LA/CM/trial_metadata.txt
    """)
    (tmp_path / "keys/LA/CM/trial_metadata.txt").write_text(
        "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n"
        "LA_0010 LA_E_0000001 none - bonafide bonafide notrim progress\n"
    )
    found = table(tmp_path, "asvspoof2021")
    spoof = found["ASVspoof2021_LA_eval/flac/LA_E_9332881.flac"]
    assert (spoof.generator, spoof.split, spoof.value("codec")) == ("A07", "test", "alaw")
    real = found["ASVspoof2021_LA_eval/flac/LA_E_0000001.flac"]
    assert (real.label, real.generator, real.split) == ("bona_fide", "", "calibrate")


def test_in_the_wild(tmp_path: Path, grow: Grow) -> None:
    grow("""
        release_in_the_wild/0.wav
        release_in_the_wild/1.wav
    """)
    (tmp_path / "release_in_the_wild/meta.csv").write_text(
        "file,speaker,label\n0.wav,Alan Watts,spoof\n1.wav,Alan Watts,bona-fide\n2.wav,x,spoof\n"
    )
    found = table(tmp_path, "in_the_wild")
    assert [(s.label, s.group) for s in found.values()] == [
        ("synthetic_speech", "Alan Watts"),
        ("bona_fide", "Alan Watts"),
    ]


def test_wavefake(tmp_path: Path, grow: Grow) -> None:
    grow("""
        generated_audio/ljspeech_hifiGAN/LJ001-0001_gen.wav
        generated_audio/jsut_parallel_wavegan/BASIC5000_0001_gen.wav
        LJSpeech-1.1/wavs/LJ001-0001.wav
        jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav
        other/x.wav
    """)
    found = table(tmp_path, "wavefake")
    assert len(found) == 4
    made = found["generated_audio/ljspeech_hifiGAN/LJ001-0001_gen.wav"]
    assert (made.label, made.generator) == ("synthetic_speech", "hifigan")
    assert found["LJSpeech-1.1/wavs/LJ001-0001.wav"].group == made.group


def test_fake_or_real(tmp_path: Path, grow: Grow) -> None:
    grow("""
        for-norm/training/fake/file1.wav
        for-norm/validation/real/file2.wav
        for-rerec/for-rerecorded/testing/real/file3.wav
    """)
    found = table(tmp_path, "fake_or_real")
    assert [(s.label, s.split) for s in found.values()] == [
        ("synthetic_speech", "train"),
        ("bona_fide", "calibrate"),
        ("bona_fide", "test"),
    ]


def test_lavdf(tmp_path: Path, grow: Grow) -> None:
    grow("""
        test/000001.mp4
        dev/000002.mp4
    """)
    rows = [
        {"file": "test/000001.mp4", "split": "test", "original": "dev/000002.mp4",
         "modify_video": False, "modify_audio": True, "fake_periods": [[1.5, 2.25]]},
        {"file": "dev/000002.mp4", "split": "dev", "original": None,
         "modify_video": False, "modify_audio": False, "fake_periods": []},
    ]  # fmt: skip
    (tmp_path / "metadata.json").write_text(json.dumps(rows))
    voices, faces = table(tmp_path, "lavdf_voices"), table(tmp_path, "lavdf")
    assert [(s.label, s.split, s.value("intervals")) for s in voices.values()] == [
        ("bona_fide", "calibrate", ""),
        ("synthetic_speech", "test", "1.5-2.25"),
    ]
    assert {s.label for s in faces.values()} == {"real"}
    assert len({s.group for s in voices.values()}) == 1


def test_avdeepfake1m(tmp_path: Path, grow: Grow) -> None:
    grow("""
        train/id1/real.mp4
        train/id1/both.mp4
        val/id2/visual.mp4
    """)
    rows = [
        {"file": "id1/real.mp4", "original": None, "modify_type": "real"},
        {"file": "id1/both.mp4", "original": "id1/real.mp4", "modify_type": "both_modified",
         "audio_model": "yourtts", "audio_fake_segments": [[0, 0.5]],
         "visual_fake_segments": [[0.1, 0.5]]},
    ]  # fmt: skip
    (tmp_path / "train_metadata.json").write_text(json.dumps(rows))
    other = [{"file": "id2/visual.mp4", "modify_type": "visual_modified"}]
    (tmp_path / "val_metadata.json").write_text(json.dumps(other))
    voices, faces = table(tmp_path, "avdeepfake1m_voices"), table(tmp_path, "avdeepfake1m")
    both = voices["train/id1/both.mp4"]
    assert (both.label, both.generator, both.value("intervals")) == (
        "synthetic_speech", "yourtts", "0-0.5",
    )  # fmt: skip
    assert faces["train/id1/both.mp4"].value("intervals") == "0.1-0.5"
    assert faces["val/id2/visual.mp4"].label == "fake"
    assert voices["val/id2/visual.mp4"].label == "bona_fide"
    (tmp_path / "train_metadata.json").write_text("{")
    with pytest.raises(InvalidInput, match="no list of clips"):
        index(tmp_path, "avdeepfake1m")


def test_fakeavceleb(tmp_path: Path, grow: Grow) -> None:
    grow("""
        RealVideo-RealAudio/African/men/id00076/00109.mp4
        FakeVideo-RealAudio/African/men/id00076/00109_1.mp4
        RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4
    """)
    (tmp_path / "meta_data.csv").write_text(
        "source,target1,target2,method,category,type,race,gender,path\n"
        "id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,00109_fake.mp4\n"
    )
    voices, faces = table(tmp_path, "fakeavceleb_voices"), table(tmp_path, "fakeavceleb")
    made = voices["RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4"]
    assert (made.label, made.generator, made.group) == ("synthetic_speech", "rtvc", "id00076")
    assert [s.label for s in faces.values()] == ["fake", "real", "real"]


def test_an_unknown_layout_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="aigcdetectbenchmark, asvspoof2021"):
        index(tmp_path, "nothing")


def test_an_empty_folder_is_told_what_it_should_look_like(tmp_path: Path) -> None:
    for name in LAYOUTS:
        with pytest.raises(InvalidInput, match="looks like"):
            index(tmp_path, name)
    with pytest.raises(InvalidInput, match="no folder"):
        index(tmp_path / "absent", "plain")


def test_an_index_goes_through_a_protocol(tmp_path: Path, grow: Grow) -> None:
    grow("""
        set/real/1.jpg
        set/fake/flux/2.png
    """)
    samples = relative(index(tmp_path / "set", "plain"), tmp_path / "set", tmp_path)
    write_manifest(tmp_path / "manifest.csv", samples)
    manifest = load(tmp_path / "manifest.csv", load_protocol("generated-native"))
    assert [sample.positive for sample in manifest.samples] == [True, False]
    assert all(manifest.file(sample).is_file() for sample in manifest.samples)


def test_masks_mark_in_three_ways() -> None:
    white = np.zeros((2, 2, 3), np.uint8)
    white[0] = 255
    assert marked(white).tolist() == [[True, True], [False, False]]
    assert marked(white, "black").tolist() == [[False, False], [True, True]]
    green = np.array([[[0, 200, 0], [200, 0, 0], [255, 255, 255]]], np.uint8)
    assert marked(green, "green").tolist() == [[True, False, False]]
    with pytest.raises(InvalidInput, match="mask_marks"):
        marked(white, "blue")
