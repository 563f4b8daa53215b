"""Visual Explanation by Interpretation (Oramas, Wang, Tuytelaars 2019): relevant features, averages, heat maps."""
