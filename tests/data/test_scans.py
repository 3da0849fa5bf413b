"""Scans: read as they were stored, kept apart by patient, refused with clear words, and written back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import build, configuring
from equipoise.cli import lesion, translation
from equipoise.config import Arrays, Scans, Translation
from equipoise.data import dicom
from equipoise.data.convert import convert_arrays
from equipoise.data.scan_names import patients
from equipoise.data.scans import Window, measured, scans_at, shown, window_of, write
from equipoise.data.source import Part
from equipoise.errors import ConfigError, DataError
from equipoise.generator import TrainedGenerator, from_file
from equipoise.uses import translating
from equipoise.uses.keeping import write_levels

pydicom, nibabel = pytest.importorskip("pydicom"), pytest.importorskip("nibabel")
CT = "1.2.840.10008.5.1.4.1.1.2"


def slice_at(path: Path, patient: str, number: int, levels: np.ndarray, spacing=(0.7, 0.7), **tags) -> None:
    """A CT slice of signed 16 bits, as a scanner writes it, by the tags of PS3.3 A.3."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header = pydicom.dataset.Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    header.PatientID, header.SeriesInstanceUID, header.Modality = patient, tags.pop("series", f"1.2.{patient}"), "CT"
    header.InstanceNumber, header.ImagePositionPatient = 1, [0, 0, 2.5 * number]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    if spacing:
        header.PixelSpacing = list(spacing)
    header.SliceThickness, header.WindowCenter, header.WindowWidth = 2.5, 40, 400
    header.RescaleSlope, header.RescaleIntercept = 1, -1024
    header.Rows, header.Columns = levels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.PixelData = levels.astype("<i2").tobytes()
    for name, value in tags.items():
        setattr(header, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def series(folder: Path, patient: str, count: int = 4, side: int = 16, **tags) -> np.ndarray:
    """Slices whose files lie in the wrong order. [count, side, side] int16."""
    levels = np.random.default_rng(int(patient)).integers(-2000, 4000, (count, side, side)).astype(np.int16)
    for i in range(count):
        slice_at(folder / patient / f"{count - i:03d}", patient, i, levels[i], **dict(tags))
    return levels


def three(folder: Path, **tags) -> Path:
    for patient in "123":
        series(folder, patient, **tags)
    return folder


def test_a_series_is_in_the_order_of_the_body_with_its_spacing_patient_and_window(tmp_path):
    levels = series(tmp_path, "7")
    (scan,) = scans_at(tmp_path)
    assert (scan.stored == levels).all() and scan.stored.dtype == np.int16
    assert scan.spacing == (2.5, 0.7, 0.7) and scan.patient == "7"
    assert scan.window == Window(-160, 239)  # 400 levels about 40: PS3.3 C.11.2.1.2.1
    assert (scan.values() == levels.astype(np.float32) - 1024).all()


def test_every_level_of_16_bits_comes_back_through_a_window(tmp_path):
    levels = np.arange(-32768, 32768, dtype=np.int16).reshape(1, 256, 256)
    slice_at(tmp_path / "all", "1", 0, levels[0])
    (scan,) = scans_at(tmp_path)
    window = Window(-32768 - 1024, 32767 - 1024)
    assert (measured(shown(scan.values(), window), scan, window) == levels).all()
    narrow = measured(shown(scan.values(), Window(-160, 240)), scan, Window(-160, 240))
    assert narrow.min() == 864 and narrow.max() == 1264  # -160 and 240, plus 1024: what lies beyond is cut off


def test_there_and_back_keeps_spacing_window_bits_and_patient_and_says_synthetic(tmp_path):
    levels = series(tmp_path / "in", "5")
    (scan,) = scans_at(tmp_path / "in")
    changed = levels + np.int16(3)
    dicom.write(scan, changed, tmp_path / "out")
    (again,) = scans_at(tmp_path / "out")
    assert (again.stored == changed).all() and again.stored.dtype == np.int16
    assert (again.spacing, again.window, again.patient) == (scan.spacing, scan.window, scan.patient)
    assert (again.slope, again.intercept) == (scan.slope, scan.intercept)
    before, after = scan.headers[0], again.headers[0]
    assert after.SyntheticData == "YES" and "SYNTHETIC" in after.SeriesDescription and "DERIVED" in after.ImageType
    assert after.SeriesInstanceUID != before.SeriesInstanceUID and after.SOPInstanceUID != before.SOPInstanceUID
    assert "SyntheticData" not in before


@pytest.mark.parametrize(
    "key", ["PixelSpacing", "PatientID", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth",
            "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "InstanceNumber", "SeriesInstanceUID"]
)  # fmt: skip
def test_an_element_that_is_empty_is_one_that_is_missing(tmp_path, key):
    """As of series that were made anonymous."""
    for i in range(2):
        slice_at(tmp_path / f"{i}.dcm", "1", i, np.full((16, 16), i), **{key: None})
    if key in ("PixelSpacing", "PatientID"):
        with pytest.raises(DataError, match=r"how large its pixels are|PatientID is empty"):
            scans_at(tmp_path)
        return
    (scan,) = scans_at(tmp_path)
    assert scan.patient == "1" and len(scan.stored) == 2
    assert (scan.slope, scan.intercept) == (1, 0 if key == "RescaleIntercept" else -1024)
    assert (scan.window is None) == key.startswith("Window")


def test_a_negative_is_shown_the_other_way_round_and_stored_as_it_was(tmp_path):
    """MONOCHROME1, PS3.3 C.7.6.3.1.2: the least value is white."""
    levels = np.arange(256, dtype=np.int16).reshape(16, 16) + 1000
    slice_at(tmp_path / "a", "1", 0, levels)
    slice_at(tmp_path / "b", "2", 0, levels, PhotometricInterpretation="MONOCHROME1")
    positive, negative = scans_at(tmp_path)
    for asked in (Window(-24, 231), None):
        ours, theirs = (window_of(scan, asked, (0, 100)) for scan in (positive, negative))
        seen = shown(negative.values(), theirs)
        assert np.allclose(seen, -shown(positive.values(), ours), atol=1e-6)
        assert (measured(seen, negative, theirs) == levels).all()
    slice_at(tmp_path / "c", "2", 1, levels)
    with pytest.raises(DataError, match="photometric"):
        scans_at(tmp_path)


def test_a_volume_with_holes_is_refused_and_told(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    values[0, 0, :3] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "sub-01.nii")
    with pytest.raises(DataError, match=r"sub-01.nii holds 3 of 120 values that are no numbers"):
        scans_at(tmp_path)


def test_nifti_slices_are_axial_with_the_front_above(tmp_path):
    values = np.zeros((6, 5, 4), np.int16)  # right, front, up
    values[0, 4, 1] = 9  # the patient's left, in front
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / "sub-01_T1w.nii.gz")
    (scan,) = scans_at(tmp_path)
    assert scan.stored.shape == (4, 5, 6) and scan.spacing == (3, 2, 1) and scan.patient == "sub-01"
    assert np.argwhere(scan.stored == 9).tolist() == [[1, 0, 5]]
    flipped = nibabel.Nifti1Image(values[::-1], np.diag([-1.0, 2.0, 3.0, 1.0]))
    nibabel.save(flipped, tmp_path / "sub-02_T1w.nii")
    assert (scans_at(tmp_path)[1].stored == scan.stored).all()  # the same body, stored the other way round


def volumes(home: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(i).integers(0, 1000, (8, 8, 4)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), home / name)
    return home


def test_official_parts_of_volumes_are_kept_and_their_folders_are_no_patients(tmp_path):
    names = [f"{part}/sub-{part}{i}/t1.nii.gz" for part in ("train", "val", "test") for i in range(3)]
    data = build.splits(Scans(path=str(volumes(tmp_path, *names))))
    parts = [data.train, data.validation, data.test]
    assert [len(part) for part in parts] == [12, 12, 12] and data.held_out == ()
    test, train, val = ({i // 12 for i in part.indices.tolist()} for part in (data.test, data.train, data.validation))
    assert (test, train, val) == ({0}, {1}, {2})  # they were read in this order
    volumes(tmp_path, "test/sub-train0/t1.nii.gz")
    assert "patient sub-train0" in refused(tmp_path) and "lies in two parts: test and train" in refused(tmp_path)


def test_label_maps_and_hidden_files_are_not_learnt_and_those_of_the_decathlon_know_their_parts(tmp_path):
    names = [f"imagesTr/heart_{i:03}.nii.gz" for i in range(6)]
    volumes(tmp_path, *names, *(name.replace("images", "labels") for name in names), "imagesTs/heart_007.nii.gz")
    (tmp_path / "imagesTr/._heart_000.nii.gz").write_bytes(b"of an archiver")
    (tmp_path / "dataset.json").write_text("{}")
    heard: list[str] = []
    data = build.splits(Scans(path=str(tmp_path)), warn=heard.append)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20, 4, 4]
    assert data.held_out == ("validation",)
    assert len(heard) == 1 and "6 label maps beside the scans are left out, in labelsTr." in heard[0]
    alone = build.splits(Scans(path=str(tmp_path / "labelsTr")), warn=heard.append)  # by request
    assert sum(len(part) for part in (alone.train, alone.validation, alone.test)) == 24 and len(heard) == 1


@pytest.mark.parametrize(
    ("names", "whose"),
    [
        (["sub-01_T1w", "sub-02_T1w", "sub-02_T2w"], ["sub-01", "sub-02", "sub-02"]),
        (["la_003_0000", "la_003_0001", "la_004_0000"], ["la_003", "la_003", "la_004"]),
        (["sub-01_1", "sub-01_2"], ["sub-01", "sub-01"]),
        (["anna_1", "bert_1", "bert_2"], ["anna", "bert", "bert"]),
        (["IXI002-Guys-0828-T1", "IXI012-HH-1211-T1"], ["IXI002-Guys-0828-T1", "IXI012-HH-1211-T1"]),
        (["p1/t1", "p1/t2", "p1/flair"], ["p1", "p1", "p1"]),
        (["p1/before/t1", "p1/after/t1", "p2/before/t1"], ["p1", "p1", "p2"]),
        (["a/sub-1/anat/sub-1_T1w", "b/sub-2/anat/sub-2_T1w"], ["sub-1", "sub-2"]),
        (["set/train/p1/t1", "set/test/p2/t1"], ["p1", "p2"]),
        (["p1/images/t1", "p2/images/t1"], ["p1", "p2"]),
        (["images/001", "images/002"], ["001", "002"]),
    ],
)
def test_whose_a_volume_is_by_its_folders_and_its_name(names, whose):
    files = [Path(f"{name}.nii.gz") for name in names]
    assert list(patients([Path("/s") / file for file in files], Path("/s")).values()) == whose


def test_patients_are_in_one_part_each(tmp_path):
    for patient in "1234567890":
        series(tmp_path, patient, count=3, side=8)
    data = build.splits(Scans(path=str(tmp_path)))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [24, 3, 3]
    assert data.train.shape == (1, 8, 8)
    parts = [set(part.indices.tolist()) for part in (data.train, data.validation, data.test)]
    whose = [{i // 3 for i in part} for part in parts]  # patients lie one behind another, 3 slices each
    assert not (whose[0] & whose[1] or whose[0] & whose[2] or whose[1] & whose[2])


def test_an_array_with_patients_is_split_by_them(tmp_path):
    patient = np.repeat(np.arange(10), 5)
    np.random.default_rng(0).shuffle(patient)
    np.savez(
        tmp_path / "a.npz", images=np.random.default_rng(0).integers(0, 255, (50, 8, 8), np.uint8), patient=patient
    )
    data = build.splits(Arrays(path=str(tmp_path / "a.npz")))
    parts = [part for part in (data.train, data.validation, data.test) if isinstance(part, Part)]
    whose = [set(patient[part.indices.numpy()]) for part in parts]
    assert sum(map(len, whose)) == 10 and set.union(*whose) == set(range(10))


def test_patients_of_an_array_with_a_test_part_are_held_out_as_a_whole(tmp_path):
    x, patient = np.random.default_rng(0).integers(0, 255, (60, 8, 8), np.uint8), np.arange(60) // 10
    np.savez(tmp_path / "a.npz", x_train=x[:50], x_test=x[50:], patient=patient[:50])
    convert_arrays(tmp_path / "a.npz", tmp_path / "set")
    for place in (tmp_path / "a.npz", tmp_path / "set"):
        data = build.splits(Arrays(path=str(place)))
        parts = [set(patient[part.indices.numpy()]) for part in (data.train, data.validation, data.test)]
        assert parts[2] == {5} and len(parts[1]) == 1 and parts[0] == set(range(5)) - parts[1]
        assert data.held_out == ("validation",)
    with pytest.raises(DataError, match=r"only 1 group\(s\): training and validation need one each"):
        np.savez(tmp_path / "one.npz", x_train=x[:50], x_test=x[50:], patient=np.zeros(50, int))
        build.splits(Arrays(path=str(tmp_path / "one.npz")))


def test_patients_that_fit_no_part_are_refused(tmp_path):
    x = np.zeros((60, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x[:50], x_test=x[50:], patient=np.arange(60))
    with pytest.raises(DataError, match=r"patient .* is int64\[60\]: 50 training samples need"):
        build.splits(Arrays(path=str(tmp_path / "a.npz")))


def test_levels_between_those_of_8_bits_reach_the_net(tmp_path):
    data = build.splits(Scans(path=str(three(tmp_path)), window=(-3000, 3000)))
    x, _ = data.train.take(torch.arange(len(data.train)))
    assert len(x.unique()) > 600  # of 8 bits there would be 256


def test_a_folder_of_scans_is_known_by_its_content(tmp_path):
    config = configuring.configured("medical-image", data=str(three(tmp_path)))
    assert config.data.kind == "scans" and config.data.path == str(tmp_path)


def refused(path: Path, **settings) -> str:
    with pytest.raises(DataError) as error:
        build.splits(Scans(path=str(path), **settings))
    assert error.value.exit_code == 3
    return str(error.value)


def test_scans_that_cannot_be_used_are_refused_with_their_name(tmp_path):
    assert "how large its pixels are" in refused(three(tmp_path / "none", spacing=None))
    series(three(tmp_path / "mixed"), "9", spacing=(1.4, 1.4))
    assert "mixed spacings" in refused(tmp_path / "mixed")
    assert len(build.splits(Scans(path=str(tmp_path / "mixed"), mixed_spacings=True)).train) == 8
    series(tmp_path / "one", "1")
    assert "only one patient (1)" in refused(tmp_path / "one")
    assert "whose it is" in refused(three(tmp_path / "nobody", PatientID=""))
    (tmp_path / "empty").mkdir()
    assert "no scans" in refused(tmp_path / "empty") and "does not exist" in refused(tmp_path / "away")


def test_slices_of_two_spacings_in_one_series_are_refused(tmp_path):
    three(tmp_path)
    slice_at(tmp_path / "1" / "more", "1", 9, np.ones((16, 16)), spacing=(2.0, 2.0))
    assert "mixed spacings" in refused(tmp_path)


def test_broken_files_and_flat_scans_are_named(tmp_path):
    three(tmp_path)
    (tmp_path / "1" / "broken").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    assert "broken" in refused(tmp_path)
    flat = tmp_path / "flat"
    for patient in ("sub-1", "sub-2", "sub-3"):
        flat.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 2), np.int16), np.eye(4)), flat / f"{patient}.nii")
    assert "nothing to see" in refused(flat)
    (flat / "sub-4.nii.gz").write_bytes(b"no nifti")
    assert "sub-4.nii.gz cannot be read as NIfTI" in refused(flat)


def test_a_series_goes_through_a_run_and_back_with_all_that_it_was(tmp_path):
    nets = Translation(generator="gated", g_width=4, g_norm="none", d_width=4, init="he")
    form = build.Form((1, 16, 16), 0, given=2, told=2)
    G, _ = build.networks(nets, form, seed=0)
    TrainedGenerator(G.eval().requires_grad_(False), nets, form, "lesion").save(tmp_path / "g.safetensors")
    levels = series(tmp_path / "in", "7", count=2)
    mask = np.zeros((2, 16, 16), bool)
    mask[0, 4:9, 5:10] = True
    np.save(tmp_path / "mask.npy", mask)
    out, window = tmp_path / "out", (-160.0, 240.0)
    lesion.add(
        tmp_path / "g.safetensors", tmp_path / "in", tmp_path / "mask.npy", out, None, None, window, "last"
    )  # fmt: skip
    (before,), (after,) = scans_at(tmp_path / "in"), scans_at(out)
    assert (after.stored[~mask] == levels[~mask]).all() and (after.stored[mask] != levels[mask]).any()
    assert (after.spacing, after.window, after.patient) == (before.spacing, before.window, before.patient)
    assert after.headers[0].SyntheticData == "YES"


def of_slices(path: Path, side=16, given=1) -> None:
    """A generator as it is before training: of one grey slice of another, or with `given` 2 of lesions."""
    torch.manual_seed(0)
    task = "lesion" if given == 2 else "denoise"
    own = Translation(generator="gated" if given == 2 else "unet", g_width=4, g_max_width=4, g_norm="none", d_width=4,
                      init="he")  # fmt: skip
    form = build.Form((1, side, side), 0, given=given, told=given)
    G, _ = build.networks(own, form, seed=0)
    TrainedGenerator(G.eval().requires_grad_(False), own, form, task).save(path)


def volume(path: Path, slope=None, side=16) -> np.ndarray:
    """A NIfTI file whose axes lie oddly: [up, left, front], with levels of 16 bits."""
    levels = np.random.default_rng(0).integers(-3000, 3000, (3, side, side), np.int16)
    affine = np.array([[0, -0.7, 0, 5], [0, 0, 0.8, 6], [2.5, 0, 0, 7], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(levels, affine)
    if slope:
        image.header.set_slope_inter(*slope)
    image.to_filename(path)
    return levels


def on_disk(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj.get_unscaled())


@pytest.mark.parametrize("slope", [None, (0.37, -1024.0)])
def test_a_volume_comes_back_on_its_own_axes_with_every_level_and_says_synthetic(tmp_path, slope):
    levels = volume(tmp_path / "sub-1.nii.gz", slope)
    (scan,) = scans_at(tmp_path / "sub-1.nii.gz")
    place = write(scan, scan.stored, tmp_path / "out")
    assert place == tmp_path / "out.nii.gz"
    before, after = nibabel.load(tmp_path / "sub-1.nii.gz"), nibabel.load(place)
    assert (on_disk(place) == levels).all() and on_disk(place).dtype == np.int16
    assert np.allclose(before.affine, after.affine) and (before.header.get_zooms() == after.header.get_zooms())
    assert before.dataobj.slope == after.dataobj.slope and before.dataobj.inter == after.dataobj.inter
    assert b"SYNTHETIC" in after.header["descrip"].tobytes()
    with pytest.raises(ConfigError, match="is there already"):
        write(scan, scan.stored, place)


def test_a_translated_series_keeps_spacing_window_and_bits_and_a_volume_its_place(tmp_path):
    of_slices(tmp_path / "g.safetensors")
    series(tmp_path / "in", "7", count=2, side=24)  # in tiles
    volume(tmp_path / "sub-1.nii.gz")
    window = (-2000.0, 2000.0)
    for given, out in (("in", "out"), ("sub-1.nii.gz", "out.nii.gz")):
        translation.translate(
            tmp_path / "g.safetensors", tmp_path / given, tmp_path / out, None, None, False, window, "last"
        )  # fmt: skip
        (before,), (after,) = scans_at(tmp_path / given), scans_at(tmp_path / out)
        assert after.spacing == pytest.approx(before.spacing) and after.stored.dtype == np.int16
        assert after.stored.shape == before.stored.shape and (after.stored != before.stored).any()
        assert after.values().min() >= -2000 and after.values().max() <= 2000
        assert len(np.unique(after.stored)) > 300  # of 8 bits there would be 256
    dicom_scan = scans_at(tmp_path / "out")[0]
    assert dicom_scan.headers[0].SyntheticData == "YES" and dicom_scan.window == Window(-160, 239)


def test_a_lesion_grows_in_a_scan_and_outside_the_masks_all_stays(tmp_path):
    of_slices(tmp_path / "g.safetensors", given=2)
    volume(tmp_path / "sub-1.nii.gz", (0.5, 10.0))
    (scan,) = scans_at(tmp_path / "sub-1.nii.gz")
    (tmp_path / "stages").mkdir()
    masks = []
    for i in (1, 2):
        mask = np.zeros(scan.stored.shape, bool)
        mask[0, 4 : 6 + i, 5 : 7 + i] = True
        np.save(tmp_path / "stages" / f"{i}.npy", mask)
        masks.append(mask)
    lesion.grow(
        tmp_path / "g.safetensors", tmp_path / "sub-1.nii.gz", tmp_path / "stages", tmp_path / "grown", None,
        (-1000.0, 1000.0), "last",
    )  # fmt: skip
    stages = [scans_at(tmp_path / "grown" / f"{i:03d}.nii.gz")[0].stored for i in range(3)]
    assert (stages[0] == scan.stored).all()
    for stage, mask in zip(stages[1:], masks, strict=True):
        assert (stage[~mask] == scan.stored[~mask]).all() and (stage[mask] != scan.stored[mask]).any()
    with pytest.raises(ConfigError, match="name a folder"):
        lesion.grow(
            tmp_path / "g.safetensors", tmp_path / "sub-1.nii.gz", tmp_path / "stages", tmp_path / "g.gif", None,
            None, "last",
        )  # fmt: skip


def test_scans_are_not_made_larger_nor_in_colour(tmp_path):
    volume(tmp_path / "sub-1.nii.gz")
    (scan,) = scans_at(tmp_path / "sub-1.nii.gz")
    of_slices(tmp_path / "g.safetensors")
    trained = from_file(tmp_path / "g.safetensors")
    with pytest.raises(DataError, match="trained for superres-x2"):
        translating.of_scan(replace(trained, task="superres-x2"), scan, Window(0, 1))
    with pytest.raises(DataError, match="is grey"):
        colour = replace(trained, form=build.Form((3, 16, 16), 0, given=3, told=3))
        translating.of_scan(colour, scan, Window(0, 1))


def test_samples_of_16_bits_are_in_the_unit_of_the_window(tmp_path, untrained):
    trained = untrained("dcgan")
    codes = trained.codes(3, seed=1)
    levels, x = trained.fine(codes), trained.unrounded(codes)[:, 0].numpy()
    assert levels.dtype == np.uint16 and levels.shape == (3, 8, 8)
    assert np.abs(levels / 65535 * 2 - 1 - x.clip(-1, 1)).max() <= 1 / 65535 + 1e-6
    write_levels(levels, Window(-160, 240), tmp_path / "x.nii.gz")
    (scan,) = scans_at(tmp_path / "x.nii.gz")
    assert np.abs(scan.values() - (-160 + levels / 65535 * 400)).max() < 0.01
    write_levels(levels, Window(-160, 240), tmp_path / "pngs")
    picture = Image.open(tmp_path / "pngs" / "000001.png")
    assert (np.asarray(picture) == levels[1]).all() and "generative" in picture.info["Synthetic"]
    write_levels(levels, Window(-160, 240), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as kept:
        assert (kept["x"] == levels).all() and kept["window"].tolist() == [-160, 240]
